from collections import Counter

from ranking_samples import NOW, posting, profile

from jobping.core.fit import Fit
from jobping.core.pass_rates import PassRate, pass_rates
from jobping.core.profile import Level

YES, MAYBE, NO = Fit.YES, Fit.MAYBE, Fit.NO


def test_rates_count_each_filter_by_source_and_what_passes_all():
    early = profile(places=("Europe",), levels=(Level.INTERN, Level.ENTRY), not_words=("sales",))
    postings = [
        posting(1, title="Junior Analyst", source="lever"),
        posting(2, title="Junior Sales Analyst", source="lever"),
        posting(3, title="Internal Auditor", source="lever", place="Remote"),
        posting(4, title="Senior Analyst", source="lever", place="Boston, MA"),
        posting(5, title="Werkstudent Controlling", source="ashby", place="Austin, TX"),
    ]
    assert pass_rates(early, postings, NOW) == {
        "ashby": PassRate(postings=1, levels=Counter([YES]), places=Counter([NO]), kept=0),
        "lever": PassRate(
            postings=4,
            levels=Counter([YES, YES, MAYBE, NO]),
            places=Counter([YES, YES, MAYBE, NO]),
            kept=2,
        ),
    }


def test_profile_without_wishes_keeps_everything():
    [rate] = pass_rates(profile(), [posting(1), posting(2)], NOW).values()
    assert rate == PassRate(
        postings=2, levels=Counter([YES] * 2), places=Counter([YES] * 2), kept=2
    )


def test_no_postings_have_no_rates():
    assert pass_rates(profile(), [], NOW) == {}
