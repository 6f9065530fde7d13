"""The bars of the last day."""

from wsgi_session.dashboard.chart import HEIGHT, HOURS, charts_of

NOW = 1_700_000_000.0
"""At 22:13:20 UTC."""


def test_each_event_counts_in_its_hour() -> None:
    """The last bar is the hour that runs; what is older than a day, or in the future, is left out."""
    events = [
        ("logged_in", NOW, 1),
        ("logged_in", NOW - 800, 1),
        ("logged_in", NOW - 801, 1),
        ("logged_in", NOW - 86_400, 1),
        ("logged_in", NOW + 3600, 1),
        ("touched", NOW, 1),
        ("revoked", NOW, 40),
        ("expired", NOW, 1),
    ]

    charts = {chart.title: chart for chart in charts_of(events, now=NOW)}

    logins, ended = charts["Logins"], charts["Sessions ended"]
    assert [bar.count for bar in logins.bars] == [0] * (HOURS - 2) + [1, 2]
    assert (logins.total, logins.peak) == (3, 2)
    assert [bar.height for bar in logins.bars[-3:]] == [0, HEIGHT // 2, HEIGHT]
    assert logins.bars[-1].begins_at == NOW - 800
    assert ended.kinds == (("expired", 1), ("revoked", 40))
    assert sum(chart.total for chart in charts.values()) == 44


def test_a_quiet_day_has_flat_bars() -> None:
    """Nothing is divided by nothing."""
    for chart in charts_of([], now=NOW):
        assert {bar.height for bar in chart.bars} == {0}
        assert (chart.total, chart.peak, chart.kinds) == (0, 0, ())
