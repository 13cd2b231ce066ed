//! A report for people, and for programs. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json as value};

use super::{Finding, Level, Report, Subject};

/// The longest text that is taken from another side, in characters.
const LONGEST: usize = 400;

/// What another side has said, in one line that does nothing to a terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut clean: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push_str("...");
    }
    clean
}

impl Level {
    /// For people: what matters is in capitals.
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "-",
            Self::Warning => "WARNING",
            Self::Fault => "FAULT",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// The table, and what to do.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let width = report.findings().map(|(_, finding)| finding.check.len()).max().unwrap_or(0);
    for section in &report.sections {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", section.subject.title());
        for finding in &section.findings {
            let (level, check) = (finding.level.word(), finding.check);
            let _ = writeln!(text, "  {level:7}  {check:width$}  {}", clean(&finding.what));
        }
        text.push('\n');
    }
    let todo: Vec<_> = report.findings().filter(|(_, finding)| finding.remedy.is_some()).collect();
    if todo.is_empty() {
        text.push_str("All is well.\n");
        return text;
    }
    let (faults, warnings) = (report.count(Level::Fault), report.count(Level::Warning));
    let _ = writeln!(text, "{faults} fault(s), {warnings} warning(s). What to do:");
    for (place, (subject, finding)) in todo.into_iter().enumerate() {
        remedy(&mut text, place + 1, subject, finding);
    }
    if !report.fixes().is_empty() {
        text.push_str("Run it again with --fix to have done what is marked so.\n");
    }
    text
}

fn remedy(text: &mut String, place: usize, subject: &Subject, finding: &Finding) {
    let remedy = finding.remedy.as_deref().unwrap_or_default();
    let _ = writeln!(text, "  {place:2}. {}, {}:\n      {}", subject.title(), finding.check, clean(remedy));
    if let Some(fix) = &finding.fix {
        let _ = writeln!(text, "      --fix: {} -> {}", clean(&fix.before), clean(&fix.after));
    }
}

/// The same for programs.
#[must_use]
pub fn json(report: &Report) -> Value {
    let finding = |finding: &Finding| {
        let fix = finding.fix.as_ref().map(|fix| value!({ "before": fix.before, "after": fix.after }));
        value!({
            "check": finding.check,
            "level": finding.level.name(),
            "what": clean(&finding.what),
            "remedy": finding.remedy,
            "fix": fix,
        })
    };
    let sections = report.sections.iter().map(|section| {
        let findings: Vec<_> = section.findings.iter().map(finding).collect();
        value!({ "subject": section.subject.title(), "findings": findings })
    });
    value!({
        "faults": report.count(Level::Fault),
        "warnings": report.count(Level::Warning),
        "sections": sections.collect::<Vec<_>>(),
    })
}
