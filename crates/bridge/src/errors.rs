//! docs/errors.md: what every error means, for the engineer of the PBX. Pure.

use std::fmt::Write as _;

use wa_signaling::ErrorKind;
use wa_signaling::graph::codes::{CODES, Code, Operation};

use crate::call::cause::{Blame, Cause, Row};
use crate::call::remedy;

const HEAD: &str = "\
# Errors

This page is printed by `wa-bridge errors`: do not edit it, print it anew.

What a PBX hears decides what it does next: after 403, 404, 480, 486 or 603 it gives the call up,
after 503 it tries its next route. Every refusal has a `Reason` (RFC 3326) with the SIP status and
the Q.850 cause, and one that comes from WhatsApp a `Warning` with a sentence for people. The word
in *label* is the `cause` of the record and of the metric `wa_bridge_calls_ended_total`; the one in
*alarm* is that of the metric `wa_bridge_alarm` and of `/readyz`; `graph_outage` takes five failures
in a row. An alarm is over when what it is about has worked again.

";

const CODES_HEAD: &str = "\
## Codes of WhatsApp

*HTTP* is what WhatsApp documents; most codes come with 400 in fact. Codes of messages and settings
reach no PBX: the SIP columns are empty there.

| Code | HTTP | Operations | Meaning | SIP | Q.850 | Retry-After | Fault | Alarm | Label | What to do |
|---|---|---|---|---|---|---|---|---|---|---|
";

const OTHER_HEAD: &str = "
## The Graph API without a code

| What happened | SIP | Q.850 | Retry-After | Fault | Alarm | Label | What to do |
|---|---|---|---|---|---|---|---|
";

const OWN_HEAD: &str = "
## Ends that are not WhatsApp's errors

The status stands in the answer to an INVITE that still waits for one, and in the `Reason` of a
BYE or CANCEL.

| SIP | Q.850 | Retry-After | Fault | Alarm | Label |
|---|---|---|---|---|---|
";

/// What goes wrong with the Graph API without a code of its own.
const WITHOUT_CODE: &[(ErrorKind, &str)] = &[
    (ErrorKind::AlreadyEnded, "The call is over already: only the text says so."),
    (ErrorKind::Timeout, "No answer in time. The call may have begun: it is ended when its webhook comes."),
    (ErrorKind::Transport, "Not reached, or the connection was lost."),
    (ErrorKind::BadResponse, "What came back is no answer of the Graph API."),
    (
        ErrorKind::Unavailable,
        "Not sent: the last requests failed, and one at a time finds out whether they still do.",
    ),
];

/// A cause of each row that is not WhatsApp's.
pub(crate) const OWN: &[Cause] = &[
    Cause::PbxHungUp,
    Cause::UserHungUp,
    Cause::PbxCancelled,
    Cause::UserCancelled,
    Cause::UserRejected,
    Cause::UserDeclined,
    Cause::NoAnswer,
    Cause::RingLimit,
    Cause::WhatsAppFailed(0),
    Cause::MediaFailed,
    Cause::PbxSilent,
    Cause::UserSilent,
    Cause::WhatsAppSdp,
    Cause::PbxSdp,
    Cause::AckMissing,
    Cause::PbxRefused(486),
    Cause::PbxRefused(603),
    Cause::PbxRefused(404),
    Cause::PbxRefused(480),
    Cause::PbxRefused(488),
    Cause::PbxRefused(403),
    Cause::PbxRefused(500),
    Cause::PbxTimeout,
    Cause::PbxUnreachable,
    Cause::PbxNoAnswer,
    Cause::PbxGone,
    Cause::Replaced,
    Cause::NothingToReplace,
    Cause::TransferRefused,
    Cause::TransferPending,
    Cause::NoRoute,
    Cause::NoMediaResource,
    Cause::TooManyCalls,
    Cause::TooManyCallsPerSecond,
    Cause::DestinationRefused,
    Cause::EmergencyNumber,
    Cause::SpendLimit,
    Cause::LongestCall,
    Cause::SessionExpired,
    Cause::Transferred,
    Cause::TransferFailed,
    Cause::Redirected,
    Cause::NoTarget,
    Cause::UnknownNumber,
    Cause::ClosedHours,
    Cause::RouteRejected,
    Cause::Announced,
    Cause::ShuttingDown,
    Cause::Starting,
    Cause::Crash,
    Cause::UnknownCall,
    Cause::Internal,
];

/// The whole page, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str(CODES_HEAD);
    CODES.iter().for_each(|code| code_lines(&mut page, code));
    page.push_str(OTHER_HEAD);
    for (kind, what) in WITHOUT_CODE {
        let row = Cause::Graph(*kind).row();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {what} | {} | {} |", heard(&row), remedy::of(*kind));
    }
    page.push_str(OWN_HEAD);
    for cause in OWN {
        let _ = writeln!(page, "| {} |", heard(&cause.row()));
    }
    page
}

/// A line for where the code is an answer, one for where it comes by webhook.
fn code_lines(page: &mut String, code: &Code) {
    let by_webhook = code.operations.contains(&Operation::Webhook);
    let answers: Vec<_> =
        code.operations.iter().copied().filter(|operation| *operation != Operation::Webhook).collect();
    if !answers.is_empty() || !by_webhook {
        let row = Cause::Graph(code.kind).row();
        let heard = if reaches_a_pbx(&answers) { heard(&row) } else { silent(&row) };
        code_line(page, code, &answers, &heard, remedy::of(code.kind));
    }
    if by_webhook {
        let row = Cause::WhatsAppFailed(code.first).row();
        code_line(page, code, &[Operation::Webhook], &heard(&row), remedy::of_webhook(code.first));
    }
}

fn code_line(page: &mut String, code: &Code, operations: &[Operation], heard: &str, remedy: &str) {
    let number = match code.first == code.last {
        true => code.first.to_string(),
        false => format!("{} to {}", code.first, code.last),
    };
    let http: Vec<_> = code.http.iter().map(ToString::to_string).collect();
    let operations: Vec<_> = operations.iter().map(|operation| operation.name()).collect();
    let (http, operations, meaning) = (http.join(", "), operations.join(", "), code.meaning);
    let _ = writeln!(page, "| {number} | {http} | {operations} | {meaning} | {heard} | {remedy} |");
}

fn reaches_a_pbx(operations: &[Operation]) -> bool {
    use Operation::{Answer, Any, Connect, End};
    operations.iter().any(|operation| matches!(operation, Any | Connect | Answer | End))
}

/// The columns of a row: SIP, Q.850, Retry-After, fault, alarm, label.
fn heard(row: &Row) -> String {
    let retry_after = row.retry_after.map(|seconds| format!("{seconds} s")).unwrap_or_default();
    format!("{} {} | {} | {retry_after} | {}", row.status, row.phrase, row.q850, seen(row))
}

fn silent(row: &Row) -> String {
    format!(" | | | {}", seen(row))
}

fn seen(row: &Row) -> String {
    let alarm = row.alarm.map_or("", |alarm| alarm.label());
    format!("{} | {alarm} | `{}`", blame(row.blame), row.label)
}

const fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Nobody => "nobody",
        Blame::Pbx => "PBX",
        Blame::User => "WhatsApp user",
        Blame::WhatsApp => "WhatsApp",
        Blame::Bridge => "this bridge or its setup",
    }
}

#[cfg(test)]
mod tests;
