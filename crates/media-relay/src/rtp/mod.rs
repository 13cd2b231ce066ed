//! RTP (RFC 3550): headers, the continuous line of packets towards each side, telephone events,
//! reports (RTCP).

pub(crate) mod dtmf;
pub(crate) mod header;
pub(crate) mod jitter;
pub(crate) mod latch;
pub(crate) mod reception;
pub(crate) mod report;
pub(crate) mod rewrite;
pub(crate) mod rtcp;
pub(crate) mod rtcp_latch;
pub(crate) mod sequence;

#[cfg(test)]
pub(crate) mod testing;
