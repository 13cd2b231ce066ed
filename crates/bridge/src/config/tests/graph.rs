use super::*;

#[test]
fn each_kind_of_operation_has_its_time_limit() {
    let limits = good(LEAST).graph.limits;
    assert_eq!(limits, wa_signaling::TimeLimits::default());
    let text = "graph = { connect_limit_s = 8, accept_limit_s = 4, end_limit_s = 20, other_limit_s = 9 }\n";
    let limits = good(&format!("{text}{LEAST}")).graph.limits;
    let seconds =
        [limits.connect, limits.pre_accept, limits.accept, limits.reject, limits.terminate, limits.other];
    assert_eq!(seconds.map(|limit| limit.as_secs()), [8, 4, 4, 20, 20, 9]);
}

#[test]
fn a_time_limit_of_an_answer_leaves_room_for_another_try() {
    let text = errors(&format!("graph.accept_limit_s = 16\n{LEAST}"));
    assert!(text.contains("f:1: graph.accept_limit_s"), "{text}");
}
