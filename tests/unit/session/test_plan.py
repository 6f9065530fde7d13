"""The decision table: every rule over every combination of facts, and the common cases by name."""

from itertools import product
from typing import Any, NamedTuple

import pytest

from wsgi_session._session.plan import CookieAction, Plan, StoreAction, make_plan


class Facts(NamedTuple):
    """All facts of ``wsgi_session._session.plan.Facts``, known beforehand."""

    exists: bool
    is_superseded: bool
    is_destroyed: bool
    is_dirty: bool
    has_own_limits: bool
    has_content: bool
    is_rotation_due: bool
    is_unsent: bool
    is_borrowed: bool
    is_touch_due: bool
    is_stale: bool
    is_failed: bool
    can_set_cookie: bool
    is_refresh_due: bool
    pending_cookie: CookieAction


FLAGS = [name for name in Facts._fields if name != "pending_cookie"]

ALL = [
    Facts(**dict(zip(FLAGS, values, strict=True)), pending_cookie=pending_cookie)
    for values in product((False, True), repeat=len(FLAGS))
    for pending_cookie in CookieAction
]

NONE = ALL[0]

BEGINNINGS = {StoreAction.CREATE, StoreAction.ROTATE, StoreAction.REPLACE}


def can_begin(facts: Facts) -> bool:
    return facts.can_set_cookie and not facts.is_failed


def is_written(facts: Facts) -> bool:
    return (facts.is_dirty or facts.has_own_limits) and not facts.is_failed


def is_cookie_due(facts: Facts) -> bool:
    is_changed = facts.has_own_limits and not facts.is_failed
    is_refreshed = not facts.is_borrowed and (facts.is_stale or is_changed)
    return facts.can_set_cookie and (facts.pending_cookie is CookieAction.SEND or is_refreshed)


def is_hopeless(facts: Facts) -> bool:
    """Whether something is under a new id, or waits for one, that no browser will learn of."""
    is_waiting = facts.is_rotation_due and is_written(facts)
    return facts.exists and not facts.is_destroyed and not facts.can_set_cookie and (facts.is_unsent or is_waiting)


# --- the rules: each says which facts it speaks of, and what the plan must then be -----------------------------------


def logout_is_always_done(facts: Facts, plan: Plan) -> bool | None:
    if facts.is_destroyed:
        return plan.action in (StoreAction.DELETE, StoreAction.REPLACE)
    return plan.action not in (StoreAction.DELETE, StoreAction.REPLACE)


def a_session_begun_after_logout_replaces_the_old_one(facts: Facts, plan: Plan) -> bool | None:
    if facts.is_destroyed:
        return (plan.action is StoreAction.REPLACE) == (facts.has_content and can_begin(facts))
    return None


def nothing_is_created_until_something_is_stored(facts: Facts, plan: Plan) -> bool | None:
    if not facts.exists and not facts.is_destroyed and not facts.is_superseded:
        wanted = facts.has_content and can_begin(facts)
        return plan.action is (StoreAction.CREATE if wanted else StoreAction.NOTHING)
    return plan.action is not StoreAction.CREATE


def what_is_changed_under_a_superseded_id_is_dropped_without_a_cookie(facts: Facts, plan: Plan) -> bool | None:
    if facts.is_superseded and not facts.exists and not facts.is_destroyed:
        is_dropped = facts.is_dirty and not facts.is_failed
        return plan == Plan(StoreAction.DROP if is_dropped else StoreAction.NOTHING, CookieAction.NOTHING)
    return plan.action is not StoreAction.DROP


def a_new_id_is_made_only_where_it_can_be_sent(facts: Facts, plan: Plan) -> bool | None:
    return plan.cookie_action is CookieAction.SEND and can_begin(facts) if plan.action in BEGINNINGS else None


def a_failed_request_changes_no_data_and_gets_no_new_id(facts: Facts, plan: Plan) -> bool | None:
    if facts.is_failed:
        return plan.action in (StoreAction.NOTHING, StoreAction.TOUCH, StoreAction.DELETE, StoreAction.WITHDRAW)
    return None


def a_rotation_is_done_where_it_can_be_sent(facts: Facts, plan: Plan) -> bool | None:
    if facts.exists and not facts.is_destroyed:
        return (plan.action is StoreAction.ROTATE) == (facts.is_rotation_due and can_begin(facts))
    return plan.action is not StoreAction.ROTATE


def what_only_a_new_id_may_have_is_withdrawn_without_one(facts: Facts, plan: Plan) -> bool | None:
    if is_hopeless(facts):
        return plan == Plan(StoreAction.WITHDRAW, CookieAction.NOTHING)
    return plan.action is not StoreAction.WITHDRAW


def nothing_is_stored_under_an_id_that_is_to_change(facts: Facts, plan: Plan) -> bool | None:
    return plan.action is not StoreAction.UPDATE if facts.is_rotation_due else None


def what_changed_is_stored(facts: Facts, plan: Plan) -> bool | None:
    if is_hopeless(facts):
        return plan.action is not StoreAction.UPDATE
    if facts.exists and not facts.is_destroyed and is_written(facts):
        return plan.action in (StoreAction.UPDATE, StoreAction.ROTATE)
    return plan.action is not StoreAction.UPDATE


def reading_moves_the_idle_limit_when_it_is_due(facts: Facts, plan: Plan) -> bool | None:
    if plan.action in (StoreAction.NOTHING, StoreAction.TOUCH) and facts.exists:
        return (plan.action is StoreAction.TOUCH) == (facts.is_touch_due or is_cookie_due(facts))
    return plan.action is not StoreAction.TOUCH


def nothing_is_sent_after_the_headers(facts: Facts, plan: Plan) -> bool | None:
    return None if facts.can_set_cookie else plan.cookie_action is CookieAction.NOTHING


def a_cookie_is_sent_only_for_what_the_store_just_confirmed(facts: Facts, plan: Plan) -> bool | None:
    if plan.cookie_action is CookieAction.SEND and facts.pending_cookie is not CookieAction.SEND:
        return plan.action in BEGINNINGS | {StoreAction.UPDATE, StoreAction.TOUCH}
    return None


def a_cookie_is_erased_only_after_logout(facts: Facts, plan: Plan) -> bool | None:
    if plan.cookie_action is CookieAction.ERASE:
        is_pending = facts.pending_cookie is CookieAction.ERASE and not facts.exists
        return plan.action is StoreAction.DELETE or (plan.action is StoreAction.NOTHING and is_pending)
    return plan.action is not StoreAction.DELETE or not facts.can_set_cookie


def a_rolling_cookie_follows_what_is_written(facts: Facts, plan: Plan) -> bool | None:
    if plan.action in (StoreAction.UPDATE, StoreAction.TOUCH) and facts.can_set_cookie:
        is_rolled = facts.is_refresh_due and not facts.is_borrowed
        return (plan.cookie_action is CookieAction.SEND) == (is_rolled or is_cookie_due(facts))
    return None


def what_save_left_to_send_is_sent(facts: Facts, plan: Plan) -> bool | None:
    if facts.pending_cookie is CookieAction.SEND and facts.can_set_cookie and facts.exists and not facts.is_destroyed:
        return plan.cookie_action is CookieAction.SEND
    if facts.can_set_cookie and not (facts.exists or facts.is_destroyed or facts.is_superseded):
        return plan.cookie_action is facts.pending_cookie or plan.action in BEGINNINGS
    return None


def where_nothing_is_due_nothing_is_done(facts: Facts, plan: Plan) -> bool | None:
    is_quiet = (
        facts._replace(exists=False, has_content=False, is_failed=False, can_set_cookie=False, is_refresh_due=False)
        == NONE
    )
    if is_quiet and facts.exists:
        return plan == Plan(StoreAction.NOTHING, CookieAction.NOTHING)
    return None


RULES = [
    logout_is_always_done,
    a_session_begun_after_logout_replaces_the_old_one,
    nothing_is_created_until_something_is_stored,
    what_is_changed_under_a_superseded_id_is_dropped_without_a_cookie,
    a_new_id_is_made_only_where_it_can_be_sent,
    a_failed_request_changes_no_data_and_gets_no_new_id,
    a_rotation_is_done_where_it_can_be_sent,
    what_only_a_new_id_may_have_is_withdrawn_without_one,
    nothing_is_stored_under_an_id_that_is_to_change,
    what_changed_is_stored,
    reading_moves_the_idle_limit_when_it_is_due,
    nothing_is_sent_after_the_headers,
    a_cookie_is_sent_only_for_what_the_store_just_confirmed,
    a_cookie_is_erased_only_after_logout,
    a_rolling_cookie_follows_what_is_written,
    what_save_left_to_send_is_sent,
    where_nothing_is_due_nothing_is_done,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds_for_all_facts(rule: Any) -> None:
    """Every rule is checked against every combination of facts, and none speaks of nothing."""
    answers = [(facts, plan, rule(facts, plan)) for facts in ALL for plan in [make_plan(facts)]]

    assert [(facts, plan) for facts, plan, is_kept in answers if is_kept is False] == []
    assert any(is_kept for _, _, is_kept in answers)


def test_the_rules_leave_nothing_open() -> None:
    """For every combination of facts, the rules together allow one plan only."""
    for facts in ALL:
        allowed = [
            Plan(action, cookie_action)
            for action in StoreAction
            for cookie_action in CookieAction
            if all(rule(facts, Plan(action, cookie_action)) is not False for rule in RULES)
        ]
        assert allowed == [make_plan(facts)], facts


NEW = {"can_set_cookie": True, "is_refresh_due": True}
OLD = {"exists": True, "can_set_cookie": True, "is_refresh_due": True}
SUPERSEDED = {"is_superseded": True, "is_dirty": True, "has_content": True}
LATE = {"exists": True, "is_refresh_due": True}


@pytest.mark.parametrize(
    ("given", "action", "cookie_action"),
    [
        pytest.param(NEW, "nothing", "nothing", id="anonymous, nothing stored"),
        pytest.param({**NEW, "has_content": True}, "create", "send", id="first write"),
        pytest.param({**NEW, "has_content": True, "is_failed": True}, "nothing", "nothing", id="first write, 5xx"),
        pytest.param({"has_content": True}, "nothing", "nothing", id="first write, too late"),
        pytest.param({**NEW, "is_rotation_due": True}, "nothing", "nothing", id="rotate() on nothing"),
        pytest.param({**NEW, **SUPERSEDED}, "drop", "nothing", id="written under an id that was rotated away"),
        pytest.param({**NEW, **SUPERSEDED, "is_dirty": False}, "nothing", "nothing", id="read under such an id"),
        pytest.param({**NEW, **SUPERSEDED, "is_failed": True}, "nothing", "nothing", id="written under it, 5xx"),
        pytest.param({**OLD}, "nothing", "nothing", id="only read"),
        pytest.param({**OLD, "is_touch_due": True}, "touch", "send", id="read after a minute"),
        pytest.param(
            {**OLD, "is_touch_due": True, "is_refresh_due": False}, "touch", "nothing", id="the same, not rolling"
        ),
        pytest.param({**LATE, "is_touch_due": True}, "touch", "nothing", id="the same, late"),
        pytest.param({**OLD, "is_dirty": True}, "update", "send", id="written after a minute"),
        pytest.param({**OLD, "is_dirty": True, "is_refresh_due": False}, "update", "nothing", id="written"),
        pytest.param({**LATE, "is_dirty": True}, "update", "nothing", id="written in a stream"),
        pytest.param({**OLD, "is_dirty": True, "is_failed": True}, "nothing", "nothing", id="written, 5xx"),
        pytest.param(
            {**OLD, "has_own_limits": True, "is_refresh_due": False}, "update", "send", id="limits of its own"
        ),
        pytest.param(
            {**OLD, "has_own_limits": True, "is_failed": True}, "nothing", "nothing", id="limits of its own, 5xx"
        ),
        pytest.param({**LATE, "has_own_limits": True}, "update", "nothing", id="limits of its own, headers lost"),
        pytest.param({**NEW, "has_own_limits": True}, "nothing", "nothing", id="limits of its own for nothing"),
        pytest.param(
            {**OLD, "is_stale": True, "is_refresh_due": False}, "touch", "send", id="signed with an older secret"
        ),
        pytest.param({**LATE, "is_stale": True}, "nothing", "nothing", id="the same, late"),
        pytest.param({**OLD, "is_rotation_due": True}, "rotate", "send", id="login"),
        pytest.param(
            {**OLD, "is_rotation_due": True, "is_refresh_due": False}, "rotate", "send", id="login, not rolling"
        ),
        pytest.param({**OLD, "is_rotation_due": True, "is_failed": True}, "nothing", "nothing", id="login, 5xx"),
        pytest.param({**LATE, "is_rotation_due": True}, "nothing", "nothing", id="login, headers lost"),
        pytest.param(
            {**LATE, "is_rotation_due": True, "is_dirty": True},
            "withdraw",
            "nothing",
            id="login and write, headers lost",
        ),
        pytest.param({**LATE, "is_unsent": True}, "withdraw", "nothing", id="login and save(), headers lost"),
        pytest.param(
            {**OLD, "is_unsent": True, "pending_cookie": CookieAction.SEND, "is_failed": True},
            "touch",
            "send",
            id="login and save(), 5xx",
        ),
        pytest.param({**NEW, "is_destroyed": True}, "delete", "erase", id="logout"),
        pytest.param({**NEW, "is_destroyed": True, "is_failed": True}, "delete", "erase", id="logout, 5xx"),
        pytest.param({"is_destroyed": True}, "delete", "nothing", id="logout in a stream"),
        pytest.param({**NEW, "is_destroyed": True, "has_content": True}, "replace", "send", id="logout, then written"),
        pytest.param(
            {**NEW, "is_destroyed": True, "has_content": True, "is_failed": True},
            "delete",
            "erase",
            id="logout, then written, 5xx",
        ),
        pytest.param(
            {"is_destroyed": True, "has_content": True}, "delete", "nothing", id="logout, then written, too late"
        ),
        pytest.param(
            {**OLD, "pending_cookie": CookieAction.SEND}, "touch", "send", id="created by save(), now the headers"
        ),
        pytest.param(
            {**NEW, "pending_cookie": CookieAction.ERASE}, "nothing", "erase", id="destroyed and saved, now the headers"
        ),
        pytest.param(
            {**NEW, "pending_cookie": CookieAction.ERASE, "has_content": True},
            "create",
            "send",
            id="destroyed, saved, written",
        ),
    ],
)
def test_the_common_cases(given: dict[str, Any], action: str, cookie_action: str) -> None:
    """What a reader wants to look up."""
    assert make_plan(NONE._replace(**given)) == Plan(StoreAction(action), CookieAction(cookie_action))
