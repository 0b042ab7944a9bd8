"""`[delivery.smtp]` and `[delivery.webhook]`."""

import base64
from pathlib import Path

import pytest

from jobping.delivery import Form, Hook, Relay, Tls
from jobping.errors import ConfigError
from jobping.settings import Overrides, Secret, Settings, load

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SMTP = '[delivery.smtp]\nhost = "mail.example"\nfrom = "jobs@sender.example"\n'
WEBHOOK = '[delivery.webhook]\nurl = "https://hooks.example/plum"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobping.toml"


def read(file: Path, text: str, mode: int = 0o600, **environ: str) -> Settings:
    file.write_text(text)
    file.chmod(mode)
    return load(Overrides(config=file), {"HOME": "/home/me", **environ})


def mistake(file: Path, text: str, mode: int = 0o600, **environ: str) -> str:
    """Return the one line that says what is wrong; it shows nothing secret."""
    with pytest.raises(ConfigError) as caught:
        read(file, text, mode, **environ)
    assert "plum" not in str(caught.value)
    [line] = str(caught.value).splitlines()
    return line


def test_digests_go_by_mail_and_to_a_webhook_only_where_that_is_set(file: Path) -> None:
    delivery = read(file, "", SMTP_PASSWORD="plum", JOBPING_WEBHOOK_SECRET=KEY).delivery
    assert (delivery.smtp, delivery.webhook) == (None, None)


def test_every_key_of_mail_is_read(file: Path) -> None:
    text = SMTP + (
        'port = 465\nuser = "me"\nfrom_name = "Jobs"\ndkim = true\nper_minute = 600\n'
        'unsubscribe = ["https://a.example/{token}", "mailto:b@a.example?subject={token}"]\n'
    )
    settings = read(file, text, SMTP_PASSWORD="plum 5")

    assert settings.delivery.smtp == Relay(
        host="mail.example",
        port=465,
        tls=Tls.IMPLICIT,
        user="me",
        password="plum 5",
        sender="jobs@sender.example",
        sender_name="Jobs",
        unsubscribe=("https://a.example/{token}", "mailto:b@a.example?subject={token}"),
        dkim=True,
        per_minute=600,
    )
    assert settings.exposed == (("smtp_password", "SMTP_PASSWORD"),)
    assert "plum" not in repr(settings)
    assert "plum" not in str(settings.origins)


def test_password_comes_from_a_file_or_a_credential_unexposed(file: Path, tmp_path: Path) -> None:
    named = tmp_path / "password"
    named.write_text("plum-1\n")
    named.chmod(0o600)
    (tmp_path / "smtp_password").write_text("plum-2\n")
    (tmp_path / "smtp_password").chmod(0o440)
    text = SMTP + 'user = "me"'

    by_file = read(file, text, SMTP_PASSWORD_FILE=str(named), SMTP_PASSWORD="plum-3")
    by_credential = read(
        file, text, CREDENTIALS_DIRECTORY=str(tmp_path), SMTP_PASSWORD_FILE=str(named)
    )

    relays = [by_file.delivery.smtp, by_credential.delivery.smtp]
    assert [relay and relay.password for relay in relays] == ["plum-1", "plum-2"]
    assert by_file.exposed == by_credential.exposed == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[delivery.smtp]\nhost = "mail.example"', "[delivery.smtp]: needs host and from"),
        ("[delivery.smtp]\nport = 25", "[delivery.smtp]: needs host and from"),
        (SMTP + "port = 0", "[delivery.smtp] port = 0: must be a whole number from 1 to 65535"),
        (SMTP + 'tls = "none"', "never go over a network in clear"),
        (SMTP + 'user = "me"', "a user needs a password (SMTP_PASSWORD)"),
        (SMTP + "dkim = true", "dkim = true needs an https address in unsubscribe"),
        (SMTP + 'unsubscribe = ["http://a.example/{token}"]', "each an https: or mailto:"),
        (SMTP + "per_minute = 0", "must be a whole number from 1 to 60000"),
        (SMTP.replace("jobs@", "a@b.example, c@"), "must be one mail address"),
        (SMTP + 'password = "x"', "[delivery.smtp] password: unknown key"),
    ],
)
def test_mail_that_would_not_be_safe_or_not_work_is_a_mistake(file, text, said) -> None:
    assert said in mistake(file, text)


def test_webhook_is_read_with_its_secret(file: Path) -> None:
    text = WEBHOOK + 'format = "slack"\nper_minute = 5'
    settings = read(file, text, JOBPING_WEBHOOK_SECRET=KEY)

    assert settings.delivery.webhook == Hook(
        url="https://hooks.example/plum", form=Form.SLACK, secret=KEY, per_minute=5
    )
    assert settings.exposed == (("webhook_secret", "JOBPING_WEBHOOK_SECRET"),)
    shown = {origin.key: origin.value for origin in settings.origins}
    assert shown["delivery.webhook.url"] == str(Secret("x"))
    assert shown["delivery.webhook.secret"] == str(Secret("x"))
    assert "plum" not in repr(settings)


def test_url_of_a_webhook_may_come_from_outside_the_file(file: Path) -> None:
    text = '[delivery.webhook]\nformat = "discord"'
    settings = read(file, text, 0o644, JOBPING_WEBHOOK_URL="https://hooks.example/plum")

    assert settings.delivery.webhook == Hook(url="https://hooks.example/plum", form=Form.DISCORD)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[delivery.webhook]\nformat = "slack"', "[delivery.webhook]: needs url"),
        ('[delivery.webhook]\nurl = "plum plum"', "[delivery.webhook] url = (hidden)"),
        ('[delivery.webhook]\nurl = "http://a.example/plum"', "must be an https URL"),
        ('[delivery.webhook]\nurl = "https://u:plum@a.example/"', "not one of wrong user"),
        (WEBHOOK + 'format = "telegram"', "sendMessage?chat_id="),
        (WEBHOOK + 'format = "teams"', "must be one of json, ntfy, slack, discord, telegram"),
        (WEBHOOK + 'secret = "plum"', "[delivery.webhook] secret: unknown key"),
    ],
)
def test_webhook_that_cannot_work_is_a_mistake_that_does_not_show_it(file, text, said) -> None:
    assert said in mistake(file, text)


def test_url_of_a_webhook_in_a_file_that_others_can_read_is_a_mistake(file: Path) -> None:
    assert "is a secret and others can read it; run: chmod o=" in mistake(file, WEBHOOK, 0o644)


def test_wrong_secret_of_a_webhook_is_a_mistake(file: Path) -> None:
    assert "24 to 64 bytes" in mistake(file, WEBHOOK, JOBPING_WEBHOOK_SECRET="whsec_plum")


def test_own_network_may_be_asked_without_tls(file: Path) -> None:
    hook = '[delivery.webhook]\nurl = "http://10.0.0.5/jobs"\nformat = "ntfy"\n'
    assert "must be an https URL" in mistake(file, hook)
    settings = read(file, hook + '[network]\nallow = ["10.0.0.0/8"]')
    assert settings.delivery.webhook is not None
