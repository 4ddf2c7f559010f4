"""The texts of mails: what does not fit is named with file and line, and what is put in stays what it is."""

import pytest

from core.mails import PLACEHOLDERS, Mails

DECLARED = {"greeting": frozenset({"name", "shop"})}
GOOD = "Subject: Hello $name\n\nDear $name,\n${shop}s are the best for $$5.\n"


@pytest.fixture
def written(tmp_path):
    """`written(text)`: the mails of a folder in which the one file says this."""

    def write(text):
        (tmp_path / "mails").mkdir(exist_ok=True)
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / "mails" / "greeting.txt").write_bytes(data)
        return Mails(tmp_path / "mails", DECLARED)

    return write


def test_placeholders_get_their_values_in_subject_and_text(written):
    subject, text = written(GOOD).render("greeting", {"name": "Ada", "shop": "Bodega", "unused": 1})

    assert (subject, text) == ("Hello Ada", "Dear Ada,\nBodegas are the best for $5.\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello\n\nText\n", "mails/greeting.txt:1: the first line is not 'Subject: ' and a subject"),
        ("Subject: \n\nText\n", "mails/greeting.txt:1: the first line is not 'Subject: ' and a subject"),
        ("", "mails/greeting.txt:1: the first line is not 'Subject: ' and a subject"),
        ("Subject: Hi\nText\n", "mails/greeting.txt:2: after the subject there is a blank line, then the text"),
        ("Subject: Hi\n\n \n", "mails/greeting.txt:2: after the subject there is a blank line, then the text"),
        ("Subject: Hi $who\n\nText\n", "mails/greeting.txt:1: there is no placeholder $who; there are $name, $shop"),
        (
            "Subject: Hi\n\nA\n\nB ${nam}\n",
            "mails/greeting.txt:5: there is no placeholder $nam; there are $name, $shop",
        ),
        ("Subject: Hi\n\nIt costs $5.\n", "mails/greeting.txt:3: a lone $ would be taken for a placeholder: write $$"),
        (b"Subject: Hi\n\n\xff\n", "mails/greeting.txt:1: cannot be read: it is not UTF-8"),
    ],
)
def test_a_text_that_does_not_fit_is_named_with_its_line(written, text, said):
    assert list(map(str, written(text).problems)) == [said]


def test_a_text_that_is_missing_is_named(tmp_path):
    (problem,) = Mails(tmp_path / "mails", DECLARED).problems

    assert str(problem) == "mails/greeting.txt:1: cannot be read: No such file or directory"


def test_all_problems_are_told_at_once(tmp_path):
    assert len(Mails(tmp_path, {"a": frozenset(), "b": frozenset()}).problems) == 2


def test_an_editors_byte_order_mark_and_line_ends_change_nothing(written):
    mails = written("\ufeffSubject: Hi\r\n\r\nText\r\n")

    assert mails.problems == [] and mails.render("greeting", {}) == ("Hi", "Text\n")


@pytest.mark.parametrize("name", ["Eve\r\nBcc: all@example.com", "Eve\nX: y", "Eve\x00\x1b[2J\x85 \u2028 z"])
def test_a_subject_is_one_line_whatever_is_put_in(written, name):
    subject, _ = written(GOOD).render("greeting", {"name": name, "shop": ""})

    assert subject.isprintable() and subject.startswith("Hello Eve ")


def test_what_is_put_in_is_no_placeholder_itself(written):
    _, text = written(GOOD).render("greeting", {"name": "$shop $$", "shop": "X"})

    assert text.startswith("Dear $shop $$,")


def test_a_value_that_is_missing_is_an_error(written):
    with pytest.raises(KeyError):
        written(GOOD).render("greeting", {"name": "Ada"})


def test_every_mail_of_the_shop_has_its_text_and_every_text_its_mail(shop):
    mails = Mails()

    assert mails.problems == []
    from core.mails import FOLDER

    assert {path.stem for path in FOLDER.iterdir()} == set(PLACEHOLDERS)
