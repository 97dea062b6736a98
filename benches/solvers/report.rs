//! The measured errors as a table, as CSV and as pictures.

use std::{fmt::Write, iter::successors, num::NonZeroUsize};

use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};
use llada_infer::{
    DecoderConfig, DecoderKind,
    decoder::{LeapOptions, ThetaTrapezoidal},
};

use crate::law::{LENGTH, TOKENS, Table, order, random};

const SEED: u64 = 0;
/// Of the logarithms of the joint distributions' weights: one whose tokens depend on one another little, one where they do
/// much.
const SPREADS: [(&str, f64); 2] = [("weak", 0.4), ("strong", 2.0)];
/// Errors below it are the rounding of predictions in f32.
const ROUNDING: f64 = 1e-7;
/// The forwards from which on the orders are measured.
const FROM: usize = 8;

/// A decoder with its options.
struct Solver {
    name: &'static str,
    decoder: DecoderConfig,
    marker: Marker,
}

/// The errors of a solver on a joint distribution.
struct Measured {
    solver: usize,
    dependence: usize,
    forwards: Vec<usize>,
    distances: Vec<f64>,
    divergences: Vec<f64>,
}

/// All that was measured.
pub(crate) struct Report {
    solvers: Vec<Solver>,
    /// The least factor by which a token changes the probability of another, of each joint distribution.
    least_ratios: Vec<f64>,
    measured: Vec<Measured>,
}

fn solvers() -> Vec<Solver> {
    let even = ThetaTrapezoidal { rho: 1.0, ..Default::default() };
    let dense = LeapOptions { rho: 2.0, ..Default::default() };
    let solver = |name, decoder, marker| Solver { name, decoder, marker };
    vec![
        solver("euler", DecoderKind::Euler.into(), Marker::Square),
        solver("euler (rho 2)", DecoderConfig::Euler(dense), Marker::HollowSquare),
        solver("tau_leaping", DecoderKind::TauLeaping.into(), Marker::Diamond),
        solver("theta_trapezoidal", DecoderKind::ThetaTrapezoidal.into(), Marker::Disc),
        solver("theta_trapezoidal (rho 1)", DecoderConfig::ThetaTrapezoidal(even), Marker::HollowDisc),
        solver("first_hitting", DecoderKind::FirstHitting.into(), Marker::Triangle),
    ]
}

impl Measured {
    /// The orders by which distance and divergence fall, from 8 forwards on; none where they are rounding.
    fn orders(&self) -> [Option<f64>; 2] {
        let from = self.forwards.iter().position(|&forwards| forwards >= FROM).unwrap_or(self.forwards.len());
        [&self.distances, &self.divergences].map(|errors| {
            let is_known = errors.len() > from + 1 && self.distances[from..].iter().all(|&error| error > ROUNDING);
            is_known.then(|| order(&self.forwards[from..], &errors[from..]))
        })
    }
}

impl Report {
    /// Measures every solver at the powers of two up to `most` forwards.
    pub(crate) fn measure(most: usize) -> anyhow::Result<Self> {
        let (solvers, mut least_ratios, mut measured) = (solvers(), Vec::new(), Vec::new());
        for (dependence, (_, spread)) in SPREADS.into_iter().enumerate() {
            let table = Table::new(&mut random(SEED, spread)?)?;
            least_ratios.push(table.least_ratio());
            for (solver, Solver { decoder, .. }) in solvers.iter().enumerate() {
                let forwards: Vec<usize> = successors(Some(1), |forwards| Some(2 * forwards))
                    .take_while(|&forwards| forwards <= most)
                    .collect();
                let laws: Vec<Vec<f64>> =
                    forwards.iter().filter_map(|&count| table.law(*decoder, NonZeroUsize::new(count)?)).collect();
                let distances = laws.iter().map(|law| table.total_variation(law)).collect();
                let divergences = laws.iter().map(|law| table.divergence(law)).collect();
                measured.push(Measured { solver, dependence, forwards, distances, divergences });
            }
        }
        Ok(Self { solvers, least_ratios, measured })
    }

    /// A line a solver and joint distribution: the distances, and the orders.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("{}\n\n", self.heading());
        table += "| solver | dependence | total variation at 8, 32, 128 forwards | order | order of the divergence |\n";
        table += "|---|---|---|---|---|\n";
        for found in &self.measured {
            let at = |forwards| {
                let index = found.forwards.iter().position(|&count| count == forwards);
                index.map_or("".to_owned(), |index| match found.distances[index] {
                    rounding if rounding < ROUNDING => "0".to_owned(),
                    distance => format!("{distance:.1e}"),
                })
            };
            let [distance, divergence] =
                found.orders().map(|order| order.map_or("exact".to_owned(), |order| format!("{order:.2}")));
            let (name, dependence) = (self.solvers[found.solver].name, SPREADS[found.dependence].0);
            let distances = [8, 32, 128].map(at).join(", ");
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| {name} | {dependence} | {distances} | {distance} | {divergence} |");
        }
        table
    }

    /// A line a measurement.
    pub(crate) fn csv(&self) -> String {
        let mut csv = "solver,dependence,forwards,total_variation,divergence\n".to_owned();
        for found in &self.measured {
            let (name, dependence) = (self.solvers[found.solver].name, SPREADS[found.dependence].0);
            for (index, forwards) in found.forwards.iter().enumerate() {
                let (distance, divergence) = (found.distances[index], found.divergences[index]);
                let _ = writeln!(csv, "{name},{dependence},{forwards},{distance:.3e},{divergence:.3e}");
            }
        }
        csv
    }

    fn heading(&self) -> String {
        let [weak, strong] = [0, 1].map(|dependence| self.least_ratios[dependence]);
        format!(
            "{LENGTH} tokens of a vocabulary of {TOKENS}; a token lowers the probability of another by a factor of \
             {weak:.2} (weak) or {strong:.2} (strong) at most"
        )
    }

    /// The total variation distances.
    pub(crate) fn distances(&self) -> Chart {
        self.chart("Distance from the joint distribution, by forwards", "total variation distance", |found| {
            &found.distances
        })
    }

    /// The divergences.
    pub(crate) fn divergences(&self) -> Chart {
        self.chart(
            "Divergence from the joint distribution, by forwards",
            "Kullback-Leibler divergence (nats)",
            |found| &found.divergences,
        )
    }

    fn chart(&self, title: &str, label: &str, errors: impl Fn(&Measured) -> &Vec<f64>) -> Chart {
        let mut series = Vec::new();
        for found in &self.measured {
            let solver = &self.solvers[found.solver];
            let mut points = Vec::new();
            for (index, &y) in errors(found).iter().enumerate().filter(|&(index, _)| found.distances[index] > ROUNDING)
            {
                points.push(Point { x: found.forwards[index] as f64, y, interval: None });
            }
            let stroke = if found.dependence == 0 { Stroke::Solid } else { Stroke::Dashed };
            let name = format!("{}, {}", solver.name, SPREADS[found.dependence].0);
            series.push(Series { name, colour: COLOURS[found.solver], marker: solver.marker, stroke, points });
        }
        let points = || series.iter().flat_map(|series| &series.points);
        Chart {
            title: title.to_owned(),
            subtitle: self.heading(),
            x: Axis::around("forwards", Scale::Log2, points().map(|point| point.x)),
            y: Axis::around(label, Scale::Log10, points().map(|point| point.y)),
            series,
            notes: vec![],
        }
    }
}
