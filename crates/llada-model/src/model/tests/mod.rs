//! What no public function shows.

mod routers;
mod stacked;
