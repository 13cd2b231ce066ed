//! What the control API shows.

use serde_json::{Value, json};

use super::ms;
use crate::whatsapp::call::CallHandle;
use crate::whatsapp::graph::GraphRequest;
use crate::whatsapp::operation::Operation;
use crate::whatsapp::webhook::Delivery;

pub(super) fn call(call: &CallHandle) -> Value {
    let end = call.end().map(|end| {
        json!({
            "by": format!("{:?}", end.by),
            "why": end.why,
            "failed": end.failed,
            "duration_s": end.duration,
        })
    });
    json!({
        "wacid": call.wacid(),
        "direction": format!("{:?}", call.direction()),
        "user": call.number(),
        "business": call.business_number(),
        "state": format!("{:?}", call.state()),
        "media": format!("{:?}", call.media()),
        "answered": call.accepted_at().is_some(),
        "biz_opaque_callback_data": call.callback_data(),
        "digits": call.digits(),
        "packets_sent": call.sent_packets(),
        "packets_heard": call.heard().packets.len(),
        "violations": call.violations(),
        "end": end,
    })
}

pub(super) fn request(request: &GraphRequest) -> Value {
    json!({
        "at_ms": ms(request.at),
        "operation": request.operation.map(Operation::name),
        "method": request.method,
        "path": request.path,
        "parameters": request.parameters.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "wacid": request.wacid,
        "body": request.body,
        "status": request.status,
        "code": request.code,
    })
}

pub(super) fn delivery(delivery: &Delivery) -> Value {
    let (status, error) = match &delivery.result {
        Ok(status) => (Some(*status), None),
        Err(error) => (None, Some(error)),
    };
    json!({
        "at_ms": ms(delivery.at),
        "wacid": delivery.wacid,
        "what": delivery.what,
        "attempt": delivery.attempt,
        "status": status,
        "error": error,
    })
}
