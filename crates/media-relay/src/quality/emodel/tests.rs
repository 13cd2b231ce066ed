//! Values that ITU-T has published.

use super::*;

const CLEAN: Way =
    Way { delay: Duration::ZERO, percent_lost: 0.0, burst_ratio: 1.0, codec: Impairment::G711 };

fn near(left: f64, right: f64, by: f64) -> bool {
    (left - right).abs() <= by
}

#[test]
fn all_defaults_give_93_2_and_a_score_of_4_41() {
    assert!(near(CLEAN.rating(), 93.2, 0.05), "{}", CLEAN.rating());
    assert!(near(CLEAN.mos().into(), 4.41, 0.005), "{}", CLEAN.mos());
}

#[test]
fn the_opinion_follows_table_b_1_of_g_107() {
    for (r, mos) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
        assert!(near(opinion(r), mos, 0.01), "{r}: {}", opinion(r));
    }
    assert_eq!((opinion(-5.0), opinion(3.0), opinion(100.0), opinion(120.0)), (1.0, 1.0, 4.5, 4.5));
}

/// G.113's older table of Ie under random loss, which the formula of G.107 7.5 stands for.
#[test]
fn the_impairment_under_random_loss_is_that_of_the_tables_of_g_113() {
    let g729a = Impairment { ie: 11.0, bpl: 19.0 };
    for (loss, ie) in [(0.0, 11.0), (1.0, 15.0), (2.0, 19.0), (4.0, 26.0), (8.0, 36.0), (16.0, 49.0)] {
        assert!(near(g729a.effective(loss, 1.0), ie, 0.6), "{loss} %: {}", g729a.effective(loss, 1.0));
    }
    for (loss, ie) in [(2.0, 7.0), (3.0, 10.0), (5.0, 15.0), (7.0, 20.0)] {
        let found = Impairment::G711.effective(loss, 1.0);
        assert!(near(found, ie, 1.0), "{loss} %: {found}");
    }
}

/// The curve that G.107 and G.114 draw, by a well-known fit to it: 0.024 d + 0.11 (d - 177.3) above it.
#[test]
fn the_impairment_of_delay_follows_the_known_curve() {
    for delay in [20.0_f64, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0] {
        let way = Way { delay: Duration::from_secs_f64(delay / 1000.0), ..CLEAN };
        let fit = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
        assert!(near(CLEAN.rating() - way.rating(), fit, 2.5), "{delay} ms: {}", way.rating());
    }
}

/// Worked out apart from this code, by the formulas of G.107 7.4.
#[test]
fn the_rating_with_delay_is_that_of_the_formulas() {
    for (delay, rating) in [(50, 91.756), (150, 89.539), (400, 62.246)] {
        let way = Way { delay: Duration::from_millis(delay), ..CLEAN };
        assert!(near(way.rating(), rating, 0.005), "{delay} ms: {}", way.rating());
    }
}

#[test]
fn bursts_of_more_than_eight_times_are_no_worse() {
    let lossy = |burst_ratio| Way { percent_lost: 5.0, burst_ratio, ..CLEAN }.rating();
    assert!(lossy(7.0) > lossy(8.0));
    assert_eq!(lossy(8.0), lossy(50.0));
    assert_eq!(lossy(0.5), lossy(1.0), "and of less than once no better");
}

#[test]
fn more_of_anything_bad_is_never_better() {
    let mut before = f32::MAX;
    for delay in (0..1000).step_by(10) {
        let mos = Way { delay: Duration::from_millis(delay), ..CLEAN }.mos();
        assert!(mos <= before, "{delay} ms");
        before = mos;
    }
    let mut before = f32::MAX;
    for loss in 0..=100 {
        let mos = Way { percent_lost: loss.into(), ..CLEAN }.mos();
        assert!(mos <= before && mos >= 1.0, "{loss} %");
        before = mos;
    }
    let lossy = Way { percent_lost: 5.0, ..CLEAN };
    let bursts = Way { burst_ratio: 2.0, ..lossy };
    assert!(bursts.mos() < lossy.mos());
    let bare = Way { codec: Impairment::G711_UNCONCEALED, ..lossy };
    assert!(bare.mos() + 1.0 < lossy.mos(), "{} {}", bare.mos(), lossy.mos());
}
