//! What stands at a point.

use svg::node::element::{Circle, Group, Path, Polygon, Rectangle};

/// The form of a mark. A hollow one lets the paper be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Nothing.
    None,
    /// A disc.
    Disc,
    /// A square.
    Square,
    /// A square on a corner.
    Diamond,
    /// A triangle.
    Triangle,
    /// Two lines that cross.
    Cross,
    /// A circle.
    HollowDisc,
    /// A square, hollow.
    HollowSquare,
    /// A square on a corner, hollow.
    HollowDiamond,
    /// A triangle, hollow.
    HollowTriangle,
}

impl Marker {
    /// The hollow one of the same form.
    pub fn hollow(self) -> Self {
        match self {
            Self::Disc => Self::HollowDisc,
            Self::Square => Self::HollowSquare,
            Self::Diamond => Self::HollowDiamond,
            Self::Triangle => Self::HollowTriangle,
            other => other,
        }
    }
}

/// The mark at `(x, y)`.
pub(super) fn mark(marker: Marker, [x, y]: [f64; 2], colour: &str) -> Group {
    let group = Group::new().set("stroke", colour).set("stroke-width", 1.6);
    let group = match marker {
        Marker::HollowDisc | Marker::HollowSquare | Marker::HollowDiamond | Marker::HollowTriangle => {
            group.set("fill", "white")
        }
        _ => group.set("fill", colour),
    };
    match marker {
        Marker::None => group,
        Marker::Disc | Marker::HollowDisc => group.add(Circle::new().set("cx", x).set("cy", y).set("r", 4.5)),
        Marker::Square | Marker::HollowSquare => {
            group.add(Rectangle::new().set("x", x - 4.0).set("y", y - 4.0).set("width", 8).set("height", 8))
        }
        Marker::Diamond | Marker::HollowDiamond => {
            polygon(group, &[[x, y - 6.0], [x + 6.0, y], [x, y + 6.0], [x - 6.0, y]])
        }
        Marker::Triangle | Marker::HollowTriangle => {
            polygon(group, &[[x, y - 6.0], [x + 5.5, y + 4.0], [x - 5.5, y + 4.0]])
        }
        Marker::Cross => {
            let [left, right, top, bottom] = [x - 4.5, x + 4.5, y - 4.5, y + 4.5];
            let lines = format!("M{left:.1},{top:.1}L{right:.1},{bottom:.1}M{left:.1},{bottom:.1}L{right:.1},{top:.1}");
            group.add(Path::new().set("d", lines).set("stroke-width", 2.2))
        }
    }
}

fn polygon(group: Group, corners: &[[f64; 2]]) -> Group {
    let corners: Vec<String> = corners.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
    group.add(Polygon::new().set("points", corners.join(" ")))
}
