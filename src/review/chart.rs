//! Charts, drawn here: SVG in the page, readable without colour through a table beside it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use maud::{Markup, html};

/// Series that have a colour of their own; more share the last.
const COLOURS: usize = 6;
const WIDTH: u64 = 720;
const HEIGHT: u64 = 220;
/// Left of the bars, for the numbers; below them, for the days.
const LEFT: u64 = 56;
const BELOW: u64 = 32;
const ABOVE: u64 = 14;

/// The class that gives a series its colour.
fn series(place: usize) -> String {
    format!("sluis-series-{}", place.min(COLOURS - 1))
}

/// A stack of bars for each day. `values`: by day and number of the series.
pub(super) fn stacks(
    caption: &str,
    days: &[Date],
    names: &[String],
    values: &BTreeMap<(Date, usize), u64>,
) -> Markup {
    let of = |day: Date, place: usize| values.get(&(day, place)).copied().unwrap_or(0);
    let total = |day: Date| {
        (0..names.len()).map(|place| values.get(&(day, place)).copied().unwrap_or(0)).sum::<u64>()
    };
    let top = nice(days.iter().map(|&day| total(day)).max().unwrap_or(0));
    let plot = HEIGHT - BELOW - ABOVE;
    let step = (WIDTH - LEFT) as f64 / days.len().max(1) as f64;
    let height = |value: u64| value as f64 / top as f64 * plot as f64;
    // A label every so many days, so that they do not touch.
    let every = days.len().div_ceil(8).max(1);
    html! {
        figure.sluis-chart {
            @if names.len() > 1 {
                ul.sluis-legend {
                    @for (place, name) in names.iter().enumerate() {
                        li { span class={ "sluis-swatch " (series(place)) } {} (name) }
                    }
                }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(caption) {
                @for quarter in 0..=4 {
                    @let y = ABOVE as f64 + plot as f64 * (1.0 - f64::from(quarter) / 4.0);
                    line class=(if quarter == 0 { "axis" } else { "grid" }) x1=(LEFT) x2=(WIDTH) y1=(coordinate(y))
                        y2=(coordinate(y)) {}
                    @if quarter % 2 == 0 {
                        text x=(LEFT - 8) y=(coordinate(y + 4.0)) text-anchor="end" { (top * quarter as u64 / 4) }
                    }
                }
                @for (at, &day) in days.iter().enumerate() {
                    @let x = LEFT as f64 + step * at as f64;
                    @for place in 0..names.len() {
                        @let value = of(day, place);
                        @if value > 0 {
                            @let below = (0..place).map(|lower| of(day, lower)).sum::<u64>();
                            @let y = (ABOVE + plot) as f64 - height(below + value);
                            rect class=(series(place)) x=(coordinate(x + step * 0.12)) y=(coordinate(y))
                                width=(coordinate(step * 0.76)) height=(coordinate(height(value))) {
                                title { (day) ": " (names[place]) ", " (value) }
                            }
                        }
                    }
                    @if at % every == 0 {
                        text x=(coordinate(x + step / 2.0)) y=(HEIGHT - 6) text-anchor="middle" {
                            (day.day()) "-" (day.month())
                        }
                    }
                }
            }
        }
    }
}

/// A bar of which a part is filled.
pub(super) fn share(part: usize, whole: usize, label: &str) -> Markup {
    let filled = if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 398.0 };
    html! {
        svg viewBox="0 0 400 16" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.whole x="1" y="1" width="398" height="14" {}
            rect.sluis-series-0 x="1" y="1" width=(coordinate(filled)) height="14" {}
        }
    }
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

/// The least number of the form 1, 2, 4 or 8 times a power of ten, at least 4, that is not below another.
fn nice(most: u64) -> u64 {
    let mut power = 1;
    loop {
        for step in [1, 2, 4, 8] {
            if step * power >= most.max(4) && (step * power) % 4 == 0 {
                return step * power;
            }
        }
        power *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, top) in
            [(0, 4), (4, 4), (5, 8), (9, 20), (21, 40), (81, 100), (101, 200), (1_000_000, 1_000_000)]
        {
            assert_eq!(nice(most), top, "{most}");
        }
    }
}
