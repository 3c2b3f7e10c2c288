"""Does looking again tame over-confidence? A calibrated.Report in sentences.

    tamed_words(found)         "Without TTA it is 6.1 points too sure ...: does tame it"
    temperature_words(found), chance_words(found)

"Sure" is the probability of the answer given (confidence); "too sure by 6 points" is mean
confidence minus accuracy. `**` marks the verdict, for Markdown.
"""

from __future__ import annotations

from lab.analysis.calibrated import PLAIN, TEMPERED, Report, looks
from lab.analysis.calibration import Interval, Scored

SPACE = "\u202f"  # narrow, and no line breaks at it
TOO_FEW = 20  # images, below which no verdict is given


def outcome(before: Scored, after: Scored) -> str:
    """What looking again does to over-confidence: tames | partly | too far | worse | nothing |
    cannot tell | not too sure | no reason | too few."""
    if before.n < TOO_FEW:
        return "too few"
    was, now, nearer = before.scores["gap"], after.scores["gap"], after.against["distance"]
    if was.high < 0:
        return "not too sure"
    if was.low <= 0:
        return "too far" if now.high < 0 else "no reason"
    if nearer.low == nearer.high == 0:
        return "nothing"
    if nearer.low > 0:
        return "worse"
    if now.high < 0:
        return "too far"
    if nearer.high >= 0:
        return "cannot tell"
    return "partly" if now.low > 0 else "tames"


def tamed_words(found: Report) -> str:
    """Does looking again tame over-confidence here? One sentence; Markdown for the verdict."""
    before, after = found.row(PLAIN).scored, found.average
    if after is None:
        return f"It is {sure_words(before.scores['gap'])} on {_these(found.n)}."
    nearer = after.scored.against["distance"]
    moved = "nearer to" if nearer.value <= 0 else "further from"
    flip = 1 if nearer.value > 0 else -1
    ends = sorted((flip * nearer.low, flip * nearer.high))
    shown = (
        f"its confidence comes {_points(abs(nearer.value))} points {moved} its accuracy "
        f"(95{SPACE}% {_points(ends[0])} to {_points(ends[1])}, the same images)"
    )
    verdicts = {
        "tames": f"looking again **does tame it**: {shown}",
        "partly": f"looking again **tames part of it**: {shown}, and it stays too sure",
        "too far": f"looking again **goes too far**: {shown}, and now it is not sure enough",
        "worse": f"looking again **does not tame it** but makes it worse: {shown}",
        "nothing": "looking again **does not tame it**: it changes nothing",
        "cannot tell": f"whether looking again tames it **cannot be told**: {shown}",
        "too few": "whether looking again tames it **cannot be told**: they are too few",
        "not too sure": f"there was **no over-confidence to tame**: {shown}",
        "no reason": (
            "whether it is too sure at all **cannot be told**, and so not whether looking again "
            f"tames it: {shown}"
        ),
    }
    verdict = verdicts[outcome(before, after.scored)]
    return (
        f"Without TTA it is {sure_words(before.scores['gap'])}, with {looks(found.views)} "
        f"{sure_words(after.scored.scores['gap'])}: on {_these(found.n)} {verdict}."
    )


def sure_words(gap: Interval) -> str:
    """`6.1 points too sure (95 % 2.3 to 9.9)`; below zero `1.2 points not sure enough (...)`."""
    side, sign = ("too sure", 1) if gap.value >= 0 else ("not sure enough", -1)
    low, high = sorted((sign * gap.low, sign * gap.high))
    if low == high == 0:
        return "just as sure as it is right"
    return f"{_points(abs(gap.value))} points {side} (95{SPACE}% {_points(low)} to {_points(high)})"


def temperature_words(found: Report) -> str:
    """What one number does instead: T, the gap it leaves, and its log loss against the views'."""
    row = found.row(TEMPERED)
    fitted, less = row.temperature, row.scored.against["log_loss"]
    assert fitted is not None
    if found.n < TOO_FEW:
        return f"{found.n} image{'s are' if found.n != 1 else ' is'} too few to fit a temperature."
    if fitted.at_limit:
        why = (
            "every answer is right"
            if fitted.value < 1
            else "being sure says nothing of being right"
        )
        return (
            f"No temperature is best here: log loss falls all the way to T = {fitted.value:.3g}, "
            f"as it does where (almost) {why}."
        )
    side = (
        "above 1: it was too sure" if fitted.low > 1
        else "below 1: it was not sure enough" if fitted.high < 1
        else "1 is within the interval: no need for one is shown"
    )  # fmt: skip
    words = (
        f"One temperature for all images, T = {fitted.value:.2f} (95{SPACE}% {fitted.low:.2f} to "
        f"{fitted.high:.2f}; {side}), costs no second look. On images that it was not fitted on it "
        f"leaves the network {sure_words(row.scored.scores['gap'])} and changes log loss by "
        f"{_signed(less)}."
    )
    if found.cooler is None:
        return words
    return f"{words} {_against_views(found, found.cooler)}"


def _against_views(found: Report, cooler: Interval) -> str:
    value, low, high = map(_change, (cooler.value, cooler.low, cooler.high))
    shown = f"temperature minus views: {value}, 95{SPACE}% {low} to {high}"
    many = looks(found.views)
    if cooler.high < 0:
        return f"Its log loss is lower than that of {many} ({shown})."
    if cooler.low > 0:
        return f"{many[:1].upper()}{many[1:]} have the lower log loss ({shown})."
    return f"Which of the two has the lower log loss cannot be told ({shown})."


def chance_words(found: Report, key: str = PLAIN) -> str:
    """How large an ECE is to be expected of a network with nothing wrong."""
    scored = found.row(key).scored
    ece, chance = scored.scores["ece"].value, scored.chance
    verdict = (
        "so this one is off by more than chance explains" if chance.p < 0.05
        else "so nothing is shown to be wrong with this one"
    )  # fmt: skip
    return (
        f"ECE is never 0 on finitely many images: a perfectly calibrated network of the same "
        f"confidences would show {_percent(chance.mean)} on {scored.n} images, and in one case of "
        f"twenty more than {_percent(chance.high)}. Here it is {_percent(ece)}, {verdict}."
    )


def verdict_of(found: Report) -> str:
    """`outcome` of the average that is looked at; "" without views."""
    average = found.average
    return outcome(found.row(PLAIN).scored, average.scored) if average else ""


def _these(n: int) -> str:
    return f"these {n} images" if n != 1 else "this one image"


def _points(share: float) -> str:
    text = f"{100 * share + 0.0:.1f}"
    return ("0.0" if text == "-0.0" else text).replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def _signed(change: Interval) -> str:
    value, low, high = map(_change, (change.value, change.low, change.high))
    return f"{value} (95{SPACE}% {low} to {high})"


def _change(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
