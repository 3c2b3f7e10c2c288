"""A run that is over, played again on the live page: play, pause, speed, a scrubber.

    if replay.offered(run_id, can=len(seen.epochs) > 0):     # the button; True while it replays
        replay.screen(replay.of_run(seen, plan), view)

What is drawn is what had happened by then, by the functions that draw a live run. The player
belongs to the session; where it stands still, the address holds the place (`replay=4.5`, in epochs
done), so that a link opens it there.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

from lab.analysis import published
from lab.analysis.replay import epoch_ends, epochs_done, length_s, size_starts, time_of
from lab.schedules.plan import Plan
from lab.ui import format as fmt
from lab.ui.charts.axis import Axis, sides_of
from lab.ui.messages import plain
from lab.ui.player import Player
from lab.ui.replay_view import Moment, moment_view
from lab.ui.run_cache import Snapshot
from lab.ui.run_view import View
from lab.ui.scrubber import scrubber

TICK_S = 0.6
WHOLE, WHOLE_S = "whole", 30.0
SPEEDS = {"1": "1×", "10": "10×", "60": "60×", WHOLE: f"All in {WHOLE_S:.0f} s"}
PLACE = "replay"  # in the address: epochs done
_ON, _PLAYER = "lab.replay", "lab.replay.player"


@dataclass(frozen=True, eq=False)
class Subject:
    """What can be replayed. `epochs`, `steps`: all of it; `plan`: the whole schedule."""

    id: str
    name: str
    epochs: pd.DataFrame
    steps: pd.DataFrame
    plan: Plan
    rates_known: bool = True
    sides: list[tuple[int, int]] = field(default_factory=list)


def of_run(seen: Snapshot) -> Subject:
    """A run of this lab, as far as it is on disk."""
    assert seen.plan is not None
    name = seen.recipe.name or seen.run.id
    known = seen.epochs[seen.epochs["global_epoch"] < len(seen.plan.epochs)]
    steps = seen.steps[seen.steps["step"] < seen.plan.total_steps]
    return Subject(seen.run.id, name, known, steps, seen.plan, True, seen.sides)


def of_published(run: published.PublishedRun) -> Subject:
    """A published run: epochs only."""
    plan = published.plan_of(run)
    steps = pd.DataFrame({"step": [], "loss": [], "lr": []})
    return Subject(
        run.id, run.name, run.epochs, steps, plan, run.schedule_known, sides_of(plan)
    )  # fmt: skip


def offered(run_id: str, can: bool) -> bool:
    """The button that begins and ends a replay; True while this run is replayed."""
    if not can:
        return False
    on = _is_on(run_id)
    words, icon = ("Leave the replay", "close") if on else ("Replay", "replay")
    if st.button(
        words, key="replay.offer", icon=f":material/{icon}:",
        help="Watch again how it went, slower or faster, with pauses.",
    ):  # fmt: skip
        close() if on else _open(run_id)
        st.rerun()
    return on


def close() -> None:
    """No replay in this session or in the address."""
    st.session_state[_ON] = ""
    st.session_state.pop(_PLAYER, None)
    st.query_params.pop(PLACE, None)


def _open(run_id: str) -> None:
    st.session_state[_ON] = run_id
    st.session_state.pop(_PLAYER, None)
    st.query_params[PLACE] = "0"


def _is_on(run_id: str) -> bool:
    """Opened in this session, or by the address; another run closes it."""
    if _ON not in st.session_state and PLACE in st.query_params:
        st.session_state[_ON] = run_id
    if st.session_state.get(_ON) == run_id:
        return True
    if PLACE in st.query_params:
        close()
    return False


def screen(subject: Subject, view: View, start: float = 0.0) -> None:
    """The controls, and below them the run as it was at that moment. `start`: epochs done at which
    it opens where the address says nothing."""
    _sync(subject, start)
    with st.container(border=True, key="replay.box"):
        _controls(subject)
        playing = _player(subject).playing

        @st.fragment(run_every=TICK_S if playing else None)
        def moving() -> None:
            """Only this is drawn anew at each tick; a pause redraws the page."""
            player, now = _player(subject), time.monotonic()
            if player.arrived(now):
                _keep(subject, player.paused(now))
            if _player(subject).playing != playing:
                st.rerun()
            _moment(subject, view, player, now)

        moving()


def _moment(subject: Subject, view: View, player: Player, now: float) -> None:
    at = player.position(now)
    _scrubber(subject, at)
    if not player.playing:
        _guess_words(subject, at)
    moment_view(
        Moment(
            id=subject.id, epochs=subject.epochs, steps=subject.steps, plan=subject.plan,
            sides=subject.sides, at_s=at, rates_known=subject.rates_known,
            playing=player.playing,
        ),
        view,
    )  # fmt: skip


def _controls(subject: Subject) -> None:
    """Play and pause, how fast, whether it waits at each new size."""
    player, now = _player(subject), time.monotonic()
    said = f"**Replay of {plain(subject.name)}, {speed_words(player.speed)}.**"
    st.markdown(f":violet-badge[:material/replay: Replay] {said} A recording, not live.")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words, icon = ("Pause", "pause") if player.playing else ("Play", "play_arrow")
        if st.button(words, key="replay.play", icon=f":material/{icon}:", type="primary"):
            _keep(subject, player.paused(now) if player.playing else player.started(now))
            st.rerun()
        if st.button("From the start", key="replay.start", icon=":material/first_page:"):
            _keep(subject, player.moved(now, 0.0))
            st.rerun()
        st.segmented_control(
            "Speed", list(SPEEDS), format_func=SPEEDS.get, default=WHOLE, key="replay.speed",
            bind="query-params", required=True, label_visibility="collapsed",
        )  # fmt: skip
        if size_starts(subject.epochs):
            st.toggle(
                "Pause at each new size",
                key="replay.stops",
                persist_state="session",
                help="For a class: it waits before each new size, so that all can guess.",
            )


def _sync(subject: Subject, start: float) -> None:
    """The session's player for this run, with the speed and the stops that are chosen."""
    now, length = time.monotonic(), length_s(subject.epochs, subject.steps)
    player = st.session_state.get(_PLAYER, {}).get(subject.id)
    if player is None:
        place = _place_in_address(start)
        player = Player(length, time_of(subject.epochs, subject.steps, place))
    chosen = st.session_state.get("replay.speed") or st.query_params.get("replay.speed", WHOLE)
    stops = tuple(size_starts(subject.epochs)) if st.session_state.get("replay.stops") else ()
    speed = length / WHOLE_S if chosen not in SPEEDS or chosen == WHOLE else float(chosen)
    if (player.speed, player.stops, player.length_s) != (speed, stops, length):
        player = player.changed(now, speed=speed, stops=stops, length_s=length)
    st.session_state[_PLAYER] = {subject.id: player}


def _place_in_address(usual: float) -> float:
    try:
        place = float(st.query_params.get(PLACE, usual))
    except ValueError:
        return usual
    return place if math.isfinite(place) else usual


def _player(subject: Subject) -> Player:
    return st.session_state[_PLAYER][subject.id]


def _keep(subject: Subject, player: Player) -> None:
    """Store the player; where it stands still, the place goes into the address."""
    st.session_state[_PLAYER] = {subject.id: player}
    if not player.playing:
        done = epochs_done(subject.epochs, subject.steps, player.at_s)
        st.query_params[PLACE] = f"{done:.4g}"


def _scrubber(subject: Subject, at: float) -> None:
    """Where it stands, in epochs done."""
    ends = [0.0, at, length_s(subject.epochs, subject.steps)]
    first, place, last = (epochs_done(subject.epochs, subject.steps, end) for end in ends)

    def moved(done: float) -> None:
        place = round(done, 1)  # a tenth: the end of an epoch can be met
        player, to_s = _player(subject), time_of(subject.epochs, subject.steps, place)
        _keep(subject, player.moved(time.monotonic(), to_s))

    scrubber(
        first, last, at=place, bands=Axis.of(subject.plan, "epoch").bands,
        words=f"{place:.1f} epochs done of {len(subject.plan.epochs)}",
        key="replay.place", on_move=moved,
    )  # fmt: skip


def _guess_words(subject: Subject, at: float) -> None:
    """Before a new size: the question for the class."""
    if not any(abs(at - start) < 1e-3 for start in size_starts(subject.epochs)):
        return
    number = int((epoch_ends(subject.epochs) <= at + 1e-3).sum())
    size = fmt.size(*subject.epochs.iloc[number][["height", "width"]].astype(int))
    st.info(
        f"**Next: {size}.** Guess before you press Play: will the first epoch at this size have "
        "a lower error rate than the last one, and how much longer will it take?",
        icon=":material/psychology_alt:",
    )


def speed_words(speed: float) -> str:
    """`12×`; below ten with one decimal, where it has one."""
    return f"{speed:.0f}×" if speed >= 10 or speed == round(speed) else f"{speed:.1f}×"
