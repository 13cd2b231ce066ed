//! No code without a case: neither in the bridge's own table nor on the page that operators read.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use wa_signaling::graph::codes::{self, CODES};

use super::table;

#[test]
fn every_code_has_a_case_on_every_operation_it_belongs_to() -> Result<()> {
    for code in CODES {
        // What WhatsApp does not document may come anywhere: it is tried on `connect`.
        let undocumented = code.operations.is_empty().then_some("connect");
        let operations = code.operations.iter().map(|operation| operation.name()).chain(undocumented);
        for operation in operations {
            let covered = table::is_covered(operation, code.first..=code.last);
            ensure!(covered, "{} has no case on {operation}", code.first);
        }
    }
    Ok(())
}

#[test]
fn every_case_is_of_a_code_that_the_client_knows_as_this() -> Result<()> {
    let answers = table::ANSWERS.iter().chain(table::WEBHOOKS).map(|case| (case.code, case.kind));
    for (code, kind) in answers.chain(table::OTHERS.iter().map(|(_, code, kind)| (*code, *kind))) {
        let known = codes::find(code).with_context(|| format!("{code} is not in the client's table"))?;
        ensure!(known.kind == kind, "{code} is {:?}", known.kind);
    }
    Ok(())
}

#[test]
fn every_code_on_the_page_of_errors_has_a_case_that_says_the_same() -> Result<()> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    let page = std::fs::read_to_string(page)?;
    let mut lines = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let Some(codes) = columns.get(1).and_then(|column| range(column)) else {
            continue;
        };
        agrees(codes, &columns).with_context(|| line.to_owned())?;
        lines += 1;
    }
    ensure!(lines >= CODES.len(), "{lines} lines with codes");
    Ok(())
}

/// `100`, or `200 to 299`.
fn range(column: &str) -> Option<RangeInclusive<u32>> {
    // The table of ends that are no errors of WhatsApp's begins with a SIP status and its phrase.
    let (first, last) = column.split_once(" to ").unwrap_or((column, column));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// The columns: code, HTTP, operations, meaning, SIP, Q.850, Retry-After, fault, alarm, label, remedy.
fn agrees(codes: RangeInclusive<u32>, columns: &[&str]) -> Result<()> {
    let [_, _, _, operations, _, sip, q850, retry_after, _, alarm, label, remedy, _] = columns else {
        anyhow::bail!("{} columns", columns.len());
    };
    ensure!(!remedy.is_empty());
    let operations: Vec<_> = operations.split(", ").collect();
    for operation in &operations {
        ensure!(table::is_covered(operation, codes.clone()), "no case on {operation:?}");
    }
    if sip.is_empty() {
        return Ok(());
    }
    let operation = operations.first().context("no operation")?;
    for case in table::cases(operation, codes) {
        let case = case.context("no case")?;
        let wait = case.retry_after.map(|seconds| format!("{seconds} s")).unwrap_or_default();
        // One outage raises no alarm yet.
        let raises =
            if case.label == "graph_outage" { "graph_outage" } else { case.alarm.unwrap_or_default() };
        ensure!(*sip == format!("{} {}", case.status, case.phrase), "{case:?}");
        ensure!(*q850 == case.q850.to_string() && *retry_after == wait && *alarm == raises, "{case:?}");
        ensure!(*label == format!("`{}`", case.label), "{case:?}");
    }
    Ok(())
}
