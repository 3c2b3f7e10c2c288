"""Which pictures train, validate and are locked away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.data.audit import Audit, across, counts, split_problems
from lab.data.dataset import Dataset, targets_of
from lab.data.split import Parts, data_facts, parts
from lab.errors import LabError
from lab.recipe.dataset import Split


def dataset(
    sizes: dict[str, int], given: dict[str, str] | None = None, **columns: list[str]
) -> Dataset:
    """Items without files: `sizes` pictures per class; `given` maps a class to its part."""
    labels = [name for name, count in sizes.items() for _ in range(count)]
    n = len(labels)
    items = pd.DataFrame({
        "item": np.arange(n, dtype=np.int32),
        "file": [f"{label}/{at}.jpg" for at, label in enumerate(labels)],
        "given": [(given or {}).get(label, "") for label in labels],
        "width": 60, "height": 40, "bytes": 1000,
        "sha1": [f"{at:040x}" for at in range(n)],
        "label:class": [label.split("|")[0] for label in labels],
        **columns,
    })  # fmt: skip
    place = Path("nowhere")
    return Dataset("id", "set", place, place, targets_of(items), "f" * 64, items, Audit())


def sizes_of(divided: Parts) -> tuple[int, int, int]:
    return len(divided.train), len(divided.valid), len(divided.test)


def same(a: Parts, b: Parts) -> bool:
    return all(np.array_equal(getattr(a, p), getattr(b, p)) for p in ("train", "valid", "test"))


UNEVEN = {"a": 100, "b": 37, "c": 13, "d": 3}
GIVEN = {
    "a|t": "train",
    "b|t": "train",
    "a|v": "valid",
    "b|v": "valid",
    "a|e": "test",
    "b|e": "test",
}


def brought(*kept: str) -> Dataset:
    chosen = {name: part for name, part in GIVEN.items() if part in kept}
    return dataset(dict.fromkeys(chosen, 20), chosen)


def test_the_parts_are_disjoint_and_together_everything() -> None:
    divided = parts(dataset(UNEVEN), Split())
    together = np.concatenate([divided.train, divided.valid, divided.test])
    assert sorted(together.tolist()) == list(range(153))


def test_arrays_have_the_promised_types() -> None:
    divided = parts(dataset(UNEVEN), Split())
    assert {divided.train.dtype, divided.valid.dtype, divided.test.dtype} == {np.dtype(np.int32)}
    assert divided.labels.dtype == np.int64
    assert len(divided.labels) == 153
    assert divided.classes == ("a", "b", "c", "d")


def test_the_fractions_are_shares_of_all_pictures() -> None:
    assert sizes_of(parts(dataset({"a": 500, "b": 500}), Split())) == (700, 200, 100)


def test_a_stratified_split_keeps_the_proportions_of_every_class() -> None:
    table = counts(
        data := dataset(UNEVEN), parts(data, Split(valid_fraction=0.2, test_fraction=0.1))
    )
    assert table.loc["a"].tolist() == [70, 20, 10]
    assert abs(table.loc["b", "valid"] - 7.4) < 1
    assert table["valid"].sum() in (30, 31, 32)


def test_every_class_of_three_or_more_is_in_every_part() -> None:
    data = dataset({"a": 1000, "rare": 3})
    assert counts(data, parts(data, Split())).loc["rare"].tolist() == [1, 1, 1]


def test_a_class_of_one_picture_trains() -> None:
    data = dataset({"a": 100, "b": 100, "single": 1})
    assert counts(data, parts(data, Split())).loc["single"].tolist() == [1, 0, 0]


def test_without_stratification_only_the_totals_are_kept() -> None:
    divided = parts(dataset({"a": 300, "b": 100}), Split(stratified=False))
    assert sizes_of(divided) == (280, 80, 40)


def test_the_same_seed_divides_alike_and_another_one_does_not() -> None:
    data = dataset(UNEVEN)
    assert same(parts(data, Split(seed=3)), parts(data, Split(seed=3)))
    assert not same(parts(data, Split(seed=3)), parts(data, Split(seed=4)))


def test_a_split_is_what_it_was_when_this_test_was_written() -> None:
    divided = parts(dataset({"a": 6, "b": 6}), Split(valid_fraction=0.3, test_fraction=0.2))
    assert (divided.valid.tolist(), divided.test.tolist()) == ([4, 5, 6, 10], [2, 11])


def test_without_a_seed_of_its_own_the_locked_part_follows_the_divisions_seed() -> None:
    """As written down before the field was there: nothing moves under recipes that lack it."""
    data = dataset({"a": 6, "b": 6})
    none = parts(data, Split(valid_fraction=0.3, test_fraction=0.2, test_seed=None))
    own = parts(data, Split(valid_fraction=0.3, test_fraction=0.2, test_seed=0))
    for divided in (none, own):
        assert (divided.valid.tolist(), divided.test.tolist()) == ([4, 5, 6, 10], [2, 11])


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("method", ["random", "kfold"])
def test_a_seed_of_its_own_keeps_the_locked_part_while_the_rest_is_divided_anew(
    method: str, stratified: bool
) -> None:
    data = dataset(UNEVEN)
    how = {"method": method, "test_fraction": 0.2, "stratified": stratified, "test_seed": 7}
    one, other = (parts(data, Split(**how, seed=seed)) for seed in (1, 2))
    assert np.array_equal(one.test, other.test)
    assert not np.array_equal(one.valid, other.valid)
    assert not np.intersect1d(other.test, np.concatenate([one.train, one.valid])).size


def test_another_locked_seed_locks_other_pictures() -> None:
    data = dataset(UNEVEN)
    one, other = (parts(data, Split(test_seed=seed)) for seed in (1, 2))
    assert not np.array_equal(one.test, other.test)


def test_copies_stay_together_under_a_locked_seed_too() -> None:
    data = dataset({"a": 100, "b": 100})
    data.items["sha1"] = [f"{at // 4:040x}" for at in range(200)]
    one, other = (parts(data, Split(test_seed=7, seed=seed)) for seed in (1, 2))
    assert across(data, one) == []
    assert np.array_equal(one.test, other.test)


def test_parts_that_the_data_bring_do_not_ask_for_a_locked_seed() -> None:
    data = brought("train", "valid", "test")
    assert same(parts(data, Split(test_seed=7)), parts(data, Split()))


def test_a_picture_more_moves_few_of_the_others() -> None:
    before = parts(dataset({"b": 200, "a": 200}), Split(test_fraction=0))
    after = parts(dataset({"b": 200, "a": 201}), Split(test_fraction=0))
    assert len(np.setdiff1d(before.valid, after.valid)) <= 1


def test_no_test_part_is_cut_where_none_is_asked_for() -> None:
    assert sizes_of(parts(dataset({"a": 50, "b": 50}), Split(test_fraction=0))) == (80, 20, 0)


def test_given_parts_are_used_as_they_are() -> None:
    divided = parts(brought("train", "valid", "test"), Split())
    assert sizes_of(divided) == (40, 40, 40)


def test_given_train_and_valid_leave_the_test_part_empty() -> None:
    assert sizes_of(parts(brought("train", "valid"), Split())) == (40, 40, 0)


def test_given_train_and_test_cut_validation_from_train() -> None:
    data = brought("train", "test")
    divided = parts(data, Split(valid_fraction=0.25))
    assert sizes_of(divided) == (30, 10, 40)
    assert set(data.items["given"].iloc[divided.valid]) == {"train"}


def test_given_train_alone_is_divided_at_random() -> None:
    assert sizes_of(parts(brought("train"), Split())) == (28, 8, 4)


def test_random_pools_the_given_parts() -> None:
    data = brought("train", "valid", "test")
    divided = parts(data, Split(method="random"))
    assert sizes_of(divided) == (84, 24, 12)
    assert len(set(data.items["given"].iloc[divided.test])) > 1


def test_folders_are_an_error_where_there_are_none() -> None:
    with pytest.raises(LabError, match="brings no train"):
        parts(dataset(UNEVEN), Split(method="folders"))


def test_a_column_can_say_which_part() -> None:
    column = ["train"] * 50 + ["valid"] * 30 + ["test"] * 10 + [""] * 10
    data = dataset({"a": 40, "b": 60}, **{"part:where": column})
    divided = parts(data, Split(method="column", column="where"))
    assert sizes_of(divided) == (50, 30, 10)


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    data = dataset({"a": 2, "b": 2}, **{"part:where": ["train"] * 4})
    with pytest.raises(LabError, match="Use where"):
        parts(data, Split(method="column", column="fold"))


@pytest.mark.parametrize("stratified", [True, False])
def test_folds_validate_every_picture_once_and_lock_the_same_test_part(stratified: bool) -> None:
    data = dataset({"a": 61, "b": 44, "c": 5})
    folds = [
        parts(data, Split(method="kfold", folds=4, fold=k, stratified=stratified)) for k in range(4)
    ]
    assert all(np.array_equal(folds[0].test, fold.test) for fold in folds)
    validated = np.sort(np.concatenate([fold.valid for fold in folds]))
    assert np.array_equal(validated, np.setdiff1d(np.arange(110), folds[0].test))
    sizes = [len(fold.valid) for fold in folds]
    assert max(sizes) - min(sizes) <= 3


def test_folds_keep_a_given_test_part_locked() -> None:
    data = brought("train", "valid", "test")
    divided = parts(data, Split(method="kfold", folds=4, fold=1))
    assert set(data.items["given"].iloc[divided.test]) == {"test"}
    assert sizes_of(divided) == (60, 20, 40)


def test_a_fold_beyond_the_last_is_an_error() -> None:
    with pytest.raises(LabError, match="from 0 to 2"):
        parts(dataset(UNEVEN), Split(method="kfold", folds=3, fold=3))


def test_fractions_that_leave_nothing_to_train_on_are_an_error() -> None:
    with pytest.raises(LabError, match="Nothing is left"):
        parts(dataset(UNEVEN), Split(valid_fraction=0.6, test_fraction=0.4))


def test_unlabelled_pictures_are_in_no_part() -> None:
    data = dataset({"a": 20, "b": 20}, **{"label:extra": ["x", "y"] * 10 + [""] * 20})
    divided = parts(data, Split(), "extra")
    assert max(np.concatenate([divided.train, divided.valid, divided.test])) < 20
    assert (divided.labels[20:] == -1).all()


def test_an_unknown_target_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(LabError, match="Use class"):
        parts(dataset(UNEVEN), Split(), "colour")


def test_copies_of_a_picture_never_lie_in_two_parts() -> None:
    data = dataset({"a": 100, "b": 100})
    data.items["sha1"] = [f"{at // 4:040x}" for at in range(200)]
    assert across(data, parts(data, Split())) == []


def test_copies_in_given_parts_stay_and_are_warned_about() -> None:
    data = brought("train", "valid")
    data.items.loc[[0, 40], "sha1"] = "same"
    divided = parts(data, Split())
    assert across(data, divided) == [("a|t/0.jpg", "a|v/40.jpg")]
    assert any("two parts" in problem.what for problem in split_problems(data, divided))


def test_classes_that_cannot_be_learned_or_judged_are_warned_about() -> None:
    data = dataset({"a|t": 20, "b|t": 5, "a|v": 10, "c|v": 10}, {
        "a|t": "train", "b|t": "train", "a|v": "valid", "c|v": "valid"
    })  # fmt: skip
    words = " ".join(problem.what for problem in split_problems(data, parts(data, Split())))
    assert "c: no picture to train on" in words
    assert "b: fewer than 10" in words
    assert "b: no picture in validation" in words


def test_the_facts_of_a_divided_set() -> None:
    data = dataset({"a": 500, "b": 500})
    facts = data_facts(data, parts(data, Split()))
    assert (facts.n_train, facts.n_valid, facts.n_test) == (700, 200, 100)
    assert facts.train_counts == (350, 350)
    assert facts.short_px == (40, 40, 40)
    assert (facts.aspect, facts.bytes) == (1.5, 1_000_000)


def test_two_hundred_thousand_pictures_are_divided_in_a_few_seconds() -> None:
    import time

    data = dataset({"a": 150_000, "b": 50_000})
    begun = time.perf_counter()
    divided = parts(data, Split())
    assert time.perf_counter() - begun < 5
    assert sizes_of(divided) == (140_000, 40_000, 20_000)
