//! A small text many times over: where data is short and compute is not, autoregression overfits, and diffusion goes on
//! gaining (Prabhudesai et al., [2507.15857](https://arxiv.org/abs/2507.15857); Ni et al.,
//! [2511.03276](https://arxiv.org/abs/2511.03276)).

use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};
use serde::Serialize;

use crate::{size::Size, train::Curve};

/// The third of the sizes.
pub(crate) const SIZE: Size = crate::size::SIZES[2];

/// Rows of a step. A small text has few steps in an epoch, and diffusion needs thousands of steps before it looks at more
/// than how common a token is.
pub(crate) const BATCH_SIZE: usize = 8;

/// Epochs between two validations.
pub(crate) const EPOCHS: usize = 2;

/// Both objectives on the same text.
#[derive(Serialize)]
pub(crate) struct Repeated {
    pub(crate) documents: usize,
    /// Tokens of the text, each of which an epoch has once.
    pub(crate) unique_tokens: u64,
    pub(crate) diffusion: Curve,
    pub(crate) autoregressive: Curve,
}

/// The validation at the end of an epoch, or within one.
#[derive(Clone, Copy)]
struct Epoch {
    epochs: f64,
    bits_per_byte: f64,
}

impl Repeated {
    fn epochs(&self, curve: &Curve) -> Vec<Epoch> {
        let epoch = self.unique_tokens as f64;
        let of = |tokens: u64| tokens as f64 / epoch;
        let points = curve.points.iter();
        points.map(|found| Epoch { epochs: of(found.tokens), bits_per_byte: found.bits_per_byte }).collect()
    }

    /// The best validation of each objective, the last one, and where diffusion has become the better of the two.
    pub(crate) fn markdown(&self) -> String {
        let mut table =
            "| | best, bits a byte | after epochs | last, bits a byte | after epochs |\n|---|---|---|---|---|\n"
                .to_owned();
        for (name, bound, curve) in [("diffusion", "≤ ", &self.diffusion), ("autoregressive", "", &self.autoregressive)]
        {
            let epochs = self.epochs(curve);
            let (Some(best), Some(last)) = (best(&epochs), epochs.last()) else { continue };
            table += &format!(
                "| {name} | {bound}{:.3} | {:.1} | {bound}{:.3} | {:.1} |\n",
                best.bits_per_byte, best.epochs, last.bits_per_byte, last.epochs
            );
        }
        let Size { d_model, n_layers } = self.diffusion.size;
        table += &format!(
            "\n{} tokens of {} documents of WordNet, over and over; width {d_model}, {n_layers} layers. ",
            self.unique_tokens, self.documents
        );
        table += &match self.crossing() {
            Some((at, of_best)) => {
                let best = match of_best {
                    Some(epochs) => format!("; of autoregression's best, after {epochs:.1}"),
                    None => "; autoregression's best stays ahead".to_owned(),
                };
                format!("Diffusion gets ahead of autoregression at the same epoch after {at:.1}{best}.\n")
            }
            None => "Within these epochs diffusion does not get ahead of autoregression.\n".to_owned(),
        };
        table
    }

    /// The epochs after which diffusion is ahead of autoregression at the same epoch, and those after which it is ahead of
    /// autoregression's best.
    fn crossing(&self) -> Option<(f64, Option<f64>)> {
        let [diffusion, ar] = [&self.diffusion, &self.autoregressive].map(|curve| self.epochs(curve));
        let ahead = diffusion.iter().zip(&ar).find(|(d, a)| d.bits_per_byte < a.bits_per_byte)?.0;
        let lowest = best(&ar)?.bits_per_byte;
        Some((ahead.epochs, diffusion.iter().find(|d| d.bits_per_byte < lowest).map(|d| d.epochs)))
    }

    pub(crate) fn chart(&self) -> Chart {
        let series = |name: &str, epochs: &[Epoch], colour, marker, stroke| Series {
            name: name.to_owned(),
            colour,
            marker,
            stroke,
            points: epochs
                .iter()
                .map(|found| Point { x: found.epochs, y: found.bits_per_byte, interval: None })
                .collect(),
        };
        let [diffusion, ar] = [&self.diffusion, &self.autoregressive].map(|curve| self.epochs(curve));
        let both = || diffusion.iter().chain(&ar);
        Chart {
            title: "The same text many times over".to_owned(),
            subtitle: format!("{} tokens of WordNet; held-out text; diffusion is an upper bound", self.unique_tokens),
            x: Axis::around("epochs", Scale::Log10, both().map(|found| found.epochs)),
            y: Axis::around("bits a byte", Scale::Linear, both().map(|found| found.bits_per_byte)),
            series: vec![
                series("diffusion", &diffusion, COLOURS[0], Marker::Disc, Stroke::Solid),
                series("autoregressive", &ar, COLOURS[1], Marker::HollowSquare, Stroke::Dashed),
            ],
            notes: vec![],
        }
    }
}

fn best(epochs: &[Epoch]) -> Option<Epoch> {
    epochs.iter().copied().min_by(|a, b| a.bits_per_byte.total_cmp(&b.bits_per_byte))
}
