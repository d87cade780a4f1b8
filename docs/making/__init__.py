"""What pages are filled with: lists made from the code, and sections of the READMEs.

A page says where: `<!-- made: study -->`, and `<!-- from collect/README.md: Bases -->` for a
section, or with nothing behind the colon for what stands before the first.
"""

import re

from making import catalogue, commands, keys, readme

MADE = {
    "study": keys.study,
    "campaign": keys.campaign,
    "import": keys.import_spec,
    "suite": keys.suite,
    "base": keys.base,
    "commands": commands.all_commands,
    "optimizers": catalogue.optimizers,
    "overview": catalogue.overview,
    "wrappers": catalogue.wrappers,
}
_MADE = re.compile(r"^<!-- made: (.+) -->$", re.MULTILINE)
_FROM = re.compile(r"^<!-- from (\S+):(.*) -->$", re.MULTILINE)


def fill(text: str, page: str) -> str:
    """Return a page's Markdown with all of it filled in; `page` is its name, `stages/collect`.

    Raises:
        KeyError: a page asks for a list or a section that there is not.
    """
    text = _MADE.sub(lambda match: MADE[match[1]](), text)
    return _FROM.sub(lambda match: readme.section(match[1], match[2].strip(), page), text)
