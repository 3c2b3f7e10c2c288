"""The Pareto front, by hand."""

from lab.analysis.pareto import front


def test_a_point_that_another_beats_in_both_is_off_the_front() -> None:
    assert front([10, 20, 30], [0.3, 0.1, 0.2]) == [0, 1]


def test_the_front_runs_from_cheap_to_dear_whatever_the_order_given() -> None:
    assert front([30, 10, 20], [0.1, 0.3, 0.2]) == [1, 2, 0]


def test_of_equal_cost_only_the_better_one_is_on_it() -> None:
    assert front([10, 10], [0.2, 0.1]) == [1]


def test_more_cost_for_the_same_error_is_off_the_front() -> None:
    assert front([10, 20], [0.1, 0.1]) == [0]


def test_twins_are_both_on_it() -> None:
    assert front([10, 10, 5], [0.1, 0.1, 0.4]) == [2, 0, 1]


def test_a_point_without_a_number_is_left_out() -> None:
    assert front([10, float("nan"), 30], [0.3, 0.0, 0.2]) == [0, 2]


def test_no_points_have_no_front() -> None:
    assert front([], []) == []
