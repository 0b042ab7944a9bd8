import pytest

from jobping.core.mail_address import check_mail_address
from jobping.core.profile import Profile


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.org",
        "Ana.Maria+jobs@Mail.Example.Org",
        "root@localhost",
        "o'brien@xn--bcher-kva.example",
        "a" * 64 + "@example.org",
    ],
)
def test_one_plain_address_is_taken_as_it_is(address: str) -> None:
    assert check_mail_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "a@b.example, c@d.example",
        "a@b.example;c@d.example",
        "a@b.example c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example\n",
        '"x\r\nBcc: y"@b',
        '"x y"@b.example',
        "a@b@c",
        "a@[127.0.0.1]",
        "Ana <a@b.example>",
        "<a@b.example>",
        "a@b.example(comment)",
        "a@b.example>",
        "@b.example",
        "a@",
        "a",
        "",
        ".a@b.example",
        "a..b@b.example",
        "a@b..example",
        "a@-b.example",
        "a@b-.example",
        "a@b.example.",
        "a\0@b.example",
        "ä@b.example",
        "a@bücher.example",
        "a@b\N{FULLWIDTH FULL STOP}example",
        "\N{RIGHT-TO-LEFT OVERRIDE}a@b.example",
        "a" * 65 + "@example.org",
        "a@" + "b" * 64 + ".example",
        "a@" + "b." * 500 + "example",
        "-" * 1024,
    ],
)
def test_everything_else_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="one mail address in ASCII") as caught:
        check_mail_address(text)
    assert len(text) < 4 or text not in str(caught.value)
    with pytest.raises(ValueError, match="one mail address in ASCII"):
        Profile(name="ana", email=text)


def test_address_is_not_shown_with_the_profile() -> None:
    assert "ana@" not in repr(Profile(name="ana", email="ana@example.org"))
