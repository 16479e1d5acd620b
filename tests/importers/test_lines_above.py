"""What stands above an address belongs to it: its title, or its text, and never another's."""

from __future__ import annotations

import pytest

from lrat_hub.importers.entries import entries_of

DOCUMENTS = (
    ("https://kb.example.org/alpha", "Alpha reactor", "It was built in 1954 near the river."),
    ("https://kb.example.org/beta", "Beta turbine", "It turns slowly,\nand is painted green."),
    ("https://kb.example.org/gamma", "Gamma cooling", "It needs 40 litres per minute."),
)


def shown(between, line):
    return between.join(line.format(n=n, u=u, t=t, s=s) for n, (u, t, s) in enumerate(DOCUMENTS, start=1))


TITLED = {
    "numbers": shown("\n\n", "{n}. {t}\n   {u}\n   {s}"),
    "numbers without blank lines": shown("\n", "{n}. {t}\n   {u}\n   {s}"),
    "numbers in brackets, with keys": shown("\n\n", "[{n}] {t}\nURL: {u}\n{s}"),
    "numbers, with ids": shown("\n\n", "{n}. {t}\n   ID: {u}\n   {s}"),
    "paragraphs": shown("\n\n", "{t}\n{u}\n{s}"),
    "headings": shown("\n\n", "### {t}\n<{u}>\n{s}"),
    "bold": shown("\n", "**{t}**\n{u}\n{s}"),
    "bold, with numbers": shown("\n\n", "{n}. **{t}**\n   {u}\n   {s}"),
    "bold numbers": shown("\n\n", "**{n}. {t}**\n{u}\n{s}"),
    "bold headings": shown("\n\n", "### **{t}**\n{u}\n{s}"),
    "bold, with numbers, before the address": shown("\n\n", "{n}. **{t}** - {u}\n   {s}"),
    "bold, before the address in brackets": shown("\n\n", "- **{t}** ({u})\n   {s}"),
    "emphasis in a link": shown("\n\n", "{n}. [*{t}*]({u})\n   {s}"),
    "numbers below a line": "3 results:\n\n" + shown("\n\n", "{n}. {t}\n   {u}\n   {s}"),
    "addresses last, with numbers": shown("\n\n", "{n}. {t}\n   {s}\n   {u}"),
    "addresses last below a line": "Found these.\n\n" + shown("\n\n", "{n}. {t}\n   {s}\n   {u}"),
}


@pytest.mark.parametrize("text", TITLED.values(), ids=TITLED)
def test_each_address_has_its_own_title_and_text(text):
    found = [(entry.docid, entry.title, entry.snippet) for entry in entries_of(text)]
    assert found == list(DOCUMENTS)


@pytest.mark.parametrize("line", ["{s}\n{u}", "{s}\nSource: {u}"])
def test_a_text_above_its_address_is_not_that_of_the_entry_before(line):
    found = [(entry.docid, entry.title, entry.snippet) for entry in entries_of(shown("\n\n", line))]
    assert found == [(address, "", text) for address, _, text in DOCUMENTS]


def test_addresses_below_their_titles_alone_have_no_texts():
    found = [(entry.docid, entry.title, entry.snippet) for entry in entries_of(shown("\n\n", "{t}\n{u}"))]
    assert found == [(address, title, "") for address, title, _ in DOCUMENTS]


def test_a_title_that_was_taken_for_the_name_of_the_query_leaves_the_others_theirs():
    found = entries_of(TITLED["headings"].partition("\n")[2])
    assert [(entry.title, entry.snippet) for entry in found] == [
        ("", DOCUMENTS[0][2]), *((title, text) for _, title, text in DOCUMENTS[1:])
    ]  # fmt: skip


def test_a_star_that_is_no_emphasis_stays_in_its_title():
    for line in ("{n}. *{t}\n{u}\n{s}", "[*{t}]({u})\n{s}"):
        assert [entry.title for entry in entries_of(shown("\n\n", line))] == [f"*{title}" for _, title, _ in DOCUMENTS]


def test_addresses_above_their_texts_are_as_they_were():
    text = "Search results:\n\n" + shown("\n\n", "{u}\n{s}")
    assert [(entry.docid, entry.title, entry.snippet) for entry in entries_of(text)] == [
        (address, "", text) for address, _, text in DOCUMENTS
    ]
    bare = "Pages:\n" + "\n".join(address for address, _, _ in DOCUMENTS)
    assert [(entry.docid, entry.title, entry.snippet) for entry in entries_of(bare)] == [
        (address, "", "") for address, _, _ in DOCUMENTS
    ]


def test_numbers_that_begin_again_tell_lists_apart():
    numbers = [entry.number for entry in entries_of(f"{TITLED['numbers']}\n\n{TITLED['numbers']}")]
    assert numbers == [1, 2, 3, 1, 2, 3]
