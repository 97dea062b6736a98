//! An axis: what it spans, where a value lies on it, and which values are written at it.

/// How values become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equal lengths.
    Linear,
    /// Equal ratios are equal lengths; powers of two are written.
    Log2,
    /// The same; powers of ten are written, and what lies between them if they are few.
    Log10,
}

/// What is measured along a side of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it is, with its unit.
    pub label: String,
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis with room for `values`, which have to be positive on a logarithmic scale.
    pub fn around(label: impl Into<String>, scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        /// Of the length, on either side.
        const ROOM: f64 = 0.05;
        let mut axis = Self { label: label.into(), scale, low: 0.0, high: 1.0 };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().map(|value| axis.bent(value)).filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = if low == high { 1.0 } else { ROOM * (high - low) };
        (axis.low, axis.high) = (low - room, high + room);
        axis
    }

    /// Where `value` lies, as a part of the axis.
    pub(super) fn part(&self, value: f64) -> f64 {
        (self.bent(value) - self.low) / (self.high - self.low)
    }

    /// The values that are written at it, ascending.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let powers = || self.low.floor() as i32..=self.high.ceil() as i32;
        let candidates: Vec<f64> = match self.scale {
            Scale::Linear => {
                let step = round_step((self.high - self.low) / 5.0);
                let first = (self.low / step).ceil() as i64;
                (first..=(self.high / step).floor() as i64).map(|i| i as f64 * step).collect()
            }
            Scale::Log2 => powers().map(|power| 2_f64.powi(power)).collect(),
            Scale::Log10 => {
                let between: &[f64] = if self.high - self.low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                powers().flat_map(|power| between.iter().map(move |part| part * 10_f64.powi(power))).collect()
            }
        };
        candidates.into_iter().filter(|&tick| (-1e-9..=1.0 + 1e-9).contains(&self.part(tick))).collect()
    }

    fn bent(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log2 => value.log2(),
            Scale::Log10 => value.log10(),
        }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|part| part * power).find(|&round| round >= step).unwrap_or(10.0 * power)
}

/// A number as it is written at an axis: 10⁻⁴, 0.05, 32, 2×10¹⁴.
pub(super) fn written(value: f64) -> String {
    if value == 0.0 || (1e-3 - 1e-9..1e5).contains(&value.abs()) {
        let digits = format!("{value:.4}");
        return digits.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let power = (value.abs().log10() + 1e-9).floor();
    let raised = |c: char| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    let raised: String = format!("{power}").chars().map(raised).collect();
    match written(value / 10_f64.powf(power)).as_str() {
        "1" => format!("10{raised}"),
        part => format!("{part}×10{raised}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let ticks = |scale, values: &[f64]| Axis::around("", scale, values.iter().copied()).ticks();
        assert_eq!(ticks(Scale::Linear, &[0.0, 100.0]), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(Scale::Linear, &[3.0, 4.0]), [3.0, 3.5, 4.0]);
        assert_eq!(ticks(Scale::Log2, &[1.0, 32.0]), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(ticks(Scale::Log10, &[0.02, 0.3]), [0.02, 0.05, 0.1, 0.2]);
        assert_eq!(ticks(Scale::Log10, &[1e3, 1e6]), [1e3, 1e4, 1e5, 1e6]);
    }

    #[test]
    fn one_value_and_none_have_an_axis_too() {
        for values in [vec![], vec![8.0]] {
            let axis = Axis::around("", Scale::Log2, values);
            assert!(!axis.ticks().is_empty() && axis.part(8.0).is_finite());
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (1e-4, "10⁻⁴"),
            (2e-12, "2×10⁻¹²"),
            (1e-3, "0.001"),
            (0.05, "0.05"),
            (32.0, "32"),
            (1e14, "10¹⁴"),
            (2e14, "2×10¹⁴"),
            (2.5e6, "2.5×10⁶"),
        ] {
            assert_eq!(written(value), expected);
        }
    }
}
