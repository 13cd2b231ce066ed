//! The part of `valid` that says where a trunk's calls go, and when to the next target.

use std::time::Duration;

use super::error::{Place, listed};
use super::raw;
use super::sip::Sip;
use super::table::{Field, Given};
use super::trunk::Targets;
use super::valid::{Checker, seconds};
use super::value::within;
use crate::trunk::select::Aim;
use crate::trunk::target::Target;
use crate::trunk::{failover, health};

/// Most targets of a trunk.
const MAX_TARGETS: usize = 16;
/// What `target` says when calls go to where the PBX has registered from.
const REGISTERED: &str = "registered";
const REMEDY: &str = "write where its calls go, like target = \"10.0.0.5:5060\"";

/// A target as it was written.
pub(super) fn target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|why| {
        format!("{text:?} {why}: write one like \"10.0.0.5:5060\", \"sip:pbx.example.com;transport=tcp\" or \"sips:pbx.example.com\"")
    })
}

impl Checker<'_> {
    /// The one of the short form, or the list.
    pub(super) fn targets(
        &mut self,
        short: Field<String>,
        list: Field<Vec<raw::TargetTable>>,
        may_register: bool,
        sip: Option<&Sip>,
    ) -> Option<Targets> {
        match (&short.value, &list.value) {
            (Given::Absent, Given::Absent) => {
                self.report.add(&short.place, format!("is missing: {REMEDY}"));
                None
            }
            (Given::Good(text), Given::Absent) if text == REGISTERED => {
                if !may_register {
                    let message = "is \"registered\", but this trunk takes no registrations: add accept_register = {} and the users of auth";
                    self.report.add(&short.place, message);
                }
                Some(Targets::Registered)
            }
            (_, Given::Absent) => {
                let place = short.place.clone();
                let target = short.check(self.report, |text| target(&text)).good()?;
                let target = Some(target).filter(|target| self.can_send(&place, sip, target))?;
                Some(Targets::List(vec![Aim { target, priority: 1, weight: 0 }]))
            }
            (Given::Absent, _) => self.target_list(list, sip),
            _ => {
                self.report.add(&short.place, "and targets are both there: write one of them");
                None
            }
        }
    }

    fn target_list(&mut self, list: Field<Vec<raw::TargetTable>>, sip: Option<&Sip>) -> Option<Targets> {
        let items = list.check(self.report, |items| match items.len() {
            0 => Err(format!("is empty: {REMEDY}")),
            1..=MAX_TARGETS => Ok(items),
            _ => Err(format!("has more than {MAX_TARGETS} targets: give a name with SRV records instead")),
        });
        let items = items.good()?;
        let count = items.len();
        let aims: Vec<_> =
            (1..).zip(items).filter_map(|(position, item)| self.aim(position, item, sip)).collect();
        (aims.len() == count).then_some(Targets::List(aims))
    }

    /// Targets without a priority are tried in the order they are written.
    fn aim(&mut self, position: u16, raw: raw::TargetTable, sip: Option<&Sip>) -> Option<Aim> {
        let place = raw.uri.place.clone();
        if matches!((&raw.priority.value, &raw.weight.value), (Given::Absent, Given::Good(_))) {
            let message =
                "shares calls among targets of one priority: write priority = 1 (or another) beside it";
            self.report.add(&raw.weight.place, message);
        }
        let target = raw.uri.check(self.report, |text| target(&text));
        let target =
            target.required(self.report, "write { uri = \"10.0.0.5:5060\", priority = 1, weight = 50 }");
        let priority = raw.priority.check(self.report, within(0..=65_535)).or(position);
        let weight = raw.weight.check(self.report, within(0..=65_535)).or(0);
        let target = target.filter(|target| self.can_send(&place, sip, target));
        Some(Aim { target: target?, priority: priority?, weight: weight? })
    }

    pub(super) fn health(&mut self, raw: raw::Health) -> Option<health::Policy> {
        let default = health::Policy::default();
        let interval = raw.interval_s.check(self.report, |number| match number {
            0 => Ok(Duration::ZERO),
            number => seconds(5..=3600)(number)
                .map_err(|_| format!("{number} is out of range: write 5 to 3600, or 0 to send no OPTIONS")),
        });
        let down_after = raw.down_after.check(self.report, within(1..=100)).or(default.down_after);
        let up_after = raw.up_after.check(self.report, within(1..=100)).or(default.up_after);
        Some(health::Policy {
            interval: interval.or(default.interval)?,
            down_after: down_after?,
            up_after: up_after?,
        })
    }

    pub(super) fn failover(&mut self, raw: raw::Failover) -> Option<failover::Policy> {
        let default = failover::Policy::default();
        let silence = raw.silence_s.check(self.report, seconds(1..=32)).or(default.silence);
        let place = raw.on.place.clone();
        let on = match raw.on.value {
            Given::Absent => Some(default.on),
            Given::Wrong => None,
            Given::Good(items) => self.statuses(&place, items),
        };
        Some(failover::Policy { silence: silence?, on: on? })
    }

    fn statuses(&mut self, place: &Place, items: Vec<Field<i64>>) -> Option<Vec<u16>> {
        let count = items.len();
        let known = failover::MAY_MOVE_ON.map(|status| status.to_string());
        let mut statuses = Vec::new();
        for item in items {
            let line = item.place.line;
            let status = item.check(self.report, |status| {
                let status =
                    u16::try_from(status).ok().filter(|status| failover::MAY_MOVE_ON.contains(status));
                status.ok_or_else(|| {
                    format!(
                        "may hold {} alone: what else a PBX says is an answer for the call",
                        listed(known.iter().map(String::as_str)).replace('"', "")
                    )
                })
            });
            let status = status.good();
            if status.is_some_and(|status| statuses.contains(&status)) {
                self.report.add(&Place { line, ..place.clone() }, "names a status twice: once is enough");
            }
            statuses.extend(status);
        }
        (statuses.len() == count).then_some(statuses)
    }
}
