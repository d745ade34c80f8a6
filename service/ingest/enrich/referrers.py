"""``keen:referrer_parser``: where a visitor came from.

The list is our own and short: the services that send nearly all visitors. A service is known by its
registered name under any ending (``google.*``), by a host with all hosts below it, or by an app's package.
Search engines have much below their names that is no search (mail, maps, blogs), so of these only hosts and
paths of searches count; and a host that is called ``mail`` is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from service.ingest.enrich.urls import host_of, parse_query, split_url

TERM_LENGTH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Service:
    """Somebody who sends visitors; ``terms`` are the parameters that may hold what was searched for."""

    medium: str
    source: str
    terms: tuple[str, ...] = ()


# medium, source, parameters of the term (or -), hosts. "name.*" is that name under any ending, such as
# name.com, name.de or name.co.uk, with all hosts below; other hosts are meant with all hosts below them.
_LIST = """
UNKNOWN | Google | - | accounts.google.* docs.google.* drive.google.* groups.google.* maps.google.* sites.google.* support.google.* meet.google.* classroom.google.* calendar.google.* play.google.* developers.google.*
UNKNOWN | Yahoo! | - | finance.yahoo.* sports.yahoo.* weather.yahoo.* answers.yahoo.* news.yahoo.*
UNKNOWN | Yandex | - | maps.yandex.* market.yandex.* music.yandex.* disk.yandex.* metrika.yandex.*
EMAIL | Gmail | - | mail.google.* inbox.google.com com.google.android.gm
EMAIL | Outlook.com | - | outlook.live.com mail.live.com hotmail.* outlook.office.com outlook.office365.com outlook.com com.microsoft.office.outlook
EMAIL | Yahoo! Mail | - | mail.yahoo.* mail.yahoo.net
EMAIL | AOL Mail | - | mail.aol.com
EMAIL | iCloud Mail | - | icloud.com
EMAIL | Proton Mail | - | mail.proton.me protonmail.com
EMAIL | Fastmail | - | fastmail.* fastmailusercontent.com
EMAIL | Zoho Mail | - | mail.zoho.*
EMAIL | GMX | - | gmx.* navigator.gmx.net
EMAIL | WEB.DE | - | freemail.web.de navigator.web.de
EMAIL | Yandex Mail | - | mail.yandex.*
EMAIL | Mail.ru | - | e.mail.ru
EMAIL | QQ Mail | - | mail.qq.com
EMAIL | 163 Mail | - | mail.163.com
EMAIL | 126 Mail | - | mail.126.com
EMAIL | Naver Mail | - | mail.naver.com
EMAIL | Daum Mail | - | mail.daum.net mail2.daum.net
EMAIL | Mail.com | - | mail.com
EMAIL | Rambler Mail | - | mail.rambler.ru
EMAIL | T-Online | - | email.t-online.de
EMAIL | IONOS | - | email.ionos.* mailbusiness.ionos.*
EMAIL | Freenet | - | webmail.freenet.de
EMAIL | Ukr.net | - | mail.ukr.net
EMAIL | Tuta | - | app.tuta.com
EMAIL | Orange Webmail | - | webmail.orange.fr messagerie.orange.fr
EMAIL | Seznam Mail | - | email.seznam.cz
EMAIL | Comcast | - | mail.comcast.net connect.xfinity.com
SEARCH | Google Images | q | images.google.*
SEARCH | Google Images | q | google.*/imgres
SEARCH | Google News | q | news.google.*
SEARCH | Google Shopping | q | google.*/shopping
SEARCH | Google Scholar | q | scholar.google.*
SEARCH | Google | q query | google.* com.google.android.googlequicksearchbox
SEARCH | Bing | q | bing.com cn.bing.com
SEARCH | Yahoo! | p q | search.yahoo.* yahoo.*
SEARCH | DuckDuckGo | q | duckduckgo.com duck.com com.duckduckgo.mobile.android
SEARCH | Baidu | wd word | baidu.com
SEARCH | Yandex | text | yandex.* ya.ru
SEARCH | Ecosia | q | ecosia.org
SEARCH | Qwant | q | qwant.com
SEARCH | Startpage | query q | startpage.com ixquick.com
SEARCH | Brave Search | q | search.brave.com
SEARCH | Kagi | q | kagi.com
SEARCH | Mojeek | q | mojeek.com
SEARCH | Swisscows | query | swisscows.com
SEARCH | Ask | q | ask.com search-results.com
SEARCH | AOL | q query | search.aol.* aolsearch.aol.* aolsearch.com
SEARCH | Naver | query | search.naver.com naver.com
SEARCH | Daum | q | search.daum.net daum.net
SEARCH | Sogou | query keyword | sogou.com
SEARCH | 360 Search | q | so.com
SEARCH | Shenma | q | m.sm.cn sm.cn
SEARCH | Seznam | q | search.seznam.cz seznam.cz
SEARCH | Mail.ru | q | go.mail.ru
SEARCH | Rambler | query | nova.rambler.ru
SEARCH | Coc Coc | query | coccoc.com
SEARCH | Lycos | q query | search.lycos.com
SEARCH | Dogpile | q | dogpile.com
SEARCH | MetaGer | eingabe | metager.org metager.de
SEARCH | T-Online | q | suche.t-online.de
SEARCH | Presearch | q | presearch.com
SEARCH | AVG Search | q | mysearch.avg.com
SEARCH | You.com | q | you.com
SEARCH | Google Video | q | video.google.*
SEARCH | Yahoo! Images | p | images.search.yahoo.*
SEARCH | Bing Images | q | bing.com/images
SEARCH | Yandex Images | text | images.yandex.*
SEARCH | goo | MT | search.goo.ne.jp
SEARCH | Lilo | q | search.lilo.org
SEARCH | Excite | q search | excite.* search.excite.*
SEARCH | WebCrawler | q | webcrawler.com
SEARCH | InfoSpace | q | infospace.com search.infospace.com
SEARCH | Web.de | su | suche.web.de
SEARCH | GMX | su | suche.gmx.net
SEARCH | Orange | kw | lemoteur.orange.fr
SEARCH | Virgilio | qs | ricerca.virgilio.it
SEARCH | Onet | qt | szukaj.onet.pl
SEARCH | Wirtualna Polska | q | szukaj.wp.pl
SEARCH | Centrum | q | search.centrum.cz
SEARCH | Zapmeta | q | zapmeta.*
SEARCH | Gibiru | q | gibiru.com
SEARCH | Yep | q | yep.com
CHATBOT | ChatGPT | - | chatgpt.com chat.openai.com
CHATBOT | Claude | - | claude.ai
CHATBOT | Copilot | - | copilot.microsoft.com
CHATBOT | Gemini | - | gemini.google.com
CHATBOT | Perplexity | - | perplexity.ai
CHATBOT | DeepSeek | - | chat.deepseek.com
CHATBOT | Mistral | - | chat.mistral.ai
CHATBOT | Grok | - | grok.com
CHATBOT | Character.AI | - | character.ai
CHATBOT | Meta AI | - | meta.ai
CHATBOT | Poe | - | poe.com
SOCIAL | Facebook | - | facebook.com fb.com fb.me com.facebook.katana
SOCIAL | Messenger | - | messenger.com
SOCIAL | Instagram | - | instagram.com com.instagram.android
SOCIAL | Threads | - | threads.net threads.com
SOCIAL | WhatsApp | - | whatsapp.com wa.me
SOCIAL | X | - | twitter.com x.com t.co com.twitter.android
SOCIAL | Bluesky | - | bsky.app
SOCIAL | Mastodon | - | mastodon.social mastodon.online
SOCIAL | LinkedIn | - | linkedin.com lnkd.in com.linkedin.android
SOCIAL | Pinterest | - | pinterest.* pin.it
SOCIAL | Reddit | - | reddit.com redd.it com.reddit.frontpage
SOCIAL | TikTok | - | tiktok.com
SOCIAL | YouTube | - | youtube.com youtu.be com.google.android.youtube
SOCIAL | Vimeo | - | vimeo.com
SOCIAL | Twitch | - | twitch.tv
SOCIAL | Snapchat | - | snapchat.com
SOCIAL | Tumblr | - | tumblr.com
SOCIAL | Flickr | - | flickr.com
SOCIAL | Medium | - | medium.com
SOCIAL | Substack | - | substack.com
SOCIAL | Quora | - | quora.com
SOCIAL | Stack Overflow | - | stackoverflow.com
SOCIAL | GitHub | - | github.com
SOCIAL | Hacker News | - | news.ycombinator.com
SOCIAL | Lobsters | - | lobste.rs
SOCIAL | Product Hunt | - | producthunt.com
SOCIAL | Telegram | - | telegram.org t.me web.telegram.org org.telegram.messenger
SOCIAL | Discord | - | discord.com discordapp.com
SOCIAL | Slack | - | slack.com com.slack
SOCIAL | VK | - | vk.com vk.ru vkontakte.ru
SOCIAL | Odnoklassniki | - | ok.ru odnoklassniki.ru
SOCIAL | Weibo | - | weibo.com weibo.cn t.cn
SOCIAL | WeChat | - | weixin.qq.com
SOCIAL | Qzone | - | qzone.qq.com
SOCIAL | Douban | - | douban.com
SOCIAL | Zhihu | - | zhihu.com
SOCIAL | LiveJournal | - | livejournal.*
SOCIAL | Myspace | - | myspace.com
SOCIAL | Mail.ru | - | my.mail.ru
SOCIAL | Renren | - | renren.com
SOCIAL | Badoo | - | badoo.com
SOCIAL | Disqus | - | disqus.com disq.us
SOCIAL | Skype | - | web.skype.com
SOCIAL | Workplace | - | workplace.com
SOCIAL | Foursquare | - | foursquare.com
SOCIAL | Last.fm | - | last.fm lastfm.*
SOCIAL | Taringa! | - | taringa.net
SOCIAL | mixi | - | mixi.jp
SOCIAL | Linktree | - | linktr.ee lnk.bio
SOCIAL | LINE | - | line.me
SOCIAL | KakaoTalk | - | kakao.com
SOCIAL | XING | - | xing.com
SOCIAL | Nextdoor | - | nextdoor.*
SOCIAL | Meetup | - | meetup.com
SOCIAL | Goodreads | - | goodreads.com
SOCIAL | DeviantArt | - | deviantart.com
SOCIAL | Dribbble | - | dribbble.com
SOCIAL | Behance | - | behance.net
SOCIAL | SoundCloud | - | soundcloud.com
SOCIAL | Spotify | - | open.spotify.com
"""  # noqa: E501

_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"})
"""What stands before a country's ending, as in ``co.uk``."""


def _read_list() -> dict[str, Service]:
    """Host or name (``google.*``), with a path where it has one → who that is."""
    known: dict[str, Service] = {}
    for line in _LIST.strip().splitlines():
        medium, source, terms, hosts = (part.strip() for part in line.split(" | "))
        service = Service(medium, source, () if terms == "-" else tuple(terms.split()))
        known.update(dict.fromkeys(hosts.split(), service))
    return known


SERVICES = _read_list()


def parse_referrer(referrer: str, page: str | None) -> dict[str, Any] | None:
    """``medium`` and, where known, ``source`` and ``term``; None where the referrer is no URL."""
    parts = split_url(referrer)
    if parts is None or parts.scheme not in ("http", "https", "android-app"):
        return None
    host = host_of(parts)
    page_parts = split_url(page) if page else None
    if page_parts is not None and _bare(host) == _bare(host_of(page_parts)):
        return {"medium": "INTERNAL"}
    service = _find(host, parts.path, app=parts.scheme == "android-app")
    if service is None:
        return {"medium": "UNKNOWN"}
    found = {"medium": service.medium, "source": service.source}
    if not service.source:
        del found["source"]
    term = _term(parts, service)
    return {**found, "term": term} if term else found


def _bare(host: str) -> str:
    return host.removeprefix("www.")


_SEARCH_LABELS = re.compile(
    r"www\d*|m|tb|blogsearch|mobile|wap|amp|lite|search|r|images?|encrypted|ipv[46]|[a-z]{2}(?:-[a-z]{2})?|suche|recherche"
)
"""Labels before a search engine's name that make it no other service."""
_GOOGLE_PATHS = frozenset(
    {
        "",
        "search",
        "url",
        "webhp",
        "imgres",
        "images",
        "imghp",
        "m",
        "custom",
        "cse",
        "aclk",
        "amp",
        "ie",
        "shopping",
    }
)
_MAIL_LABEL = re.compile(
    r"(?:web|w|e|post)?mail\d*|webmail\w*|e\.mail|messagerie\d*|lightmailer[\w-]*|deref-[\w-]+"
)
_SOME_MAIL = Service("EMAIL", "")


def _find(host: str, path: str, *, app: bool = False) -> Service | None:
    """The service of the longest name that the list has for a host; of an app, for its package."""
    first_path = path.lstrip("/").partition("/")[0]
    listed = SERVICES.get(host) if app else None
    if listed is not None:
        return listed
    # Packages are domains in reverse: com.pinterest.twa is of pinterest.com.
    labels = host.split(".")[::-1] if app else host.split(".")
    names = labels[-6:]
    for start in range(len(names)):
        for name in _spellings(names[start:]):
            service = SERVICES.get(f"{name}/{first_path}") or SERVICES.get(name)
            if service is not None:
                return _narrowed(service, labels[: len(labels) - len(names) + start], first_path)
    return (
        _SOME_MAIL
        if (len(labels) > 2 or labels[0].startswith("deref-")) and _MAIL_LABEL.fullmatch(labels[0])
        else None
    )


def _narrowed(service: Service, before: list[str], first_path: str) -> Service | None:
    """The service, where the labels before its name and the path are its own."""
    if service.medium != "SEARCH":
        return service
    if before and _MAIL_LABEL.fullmatch(before[-1]):
        return Service("EMAIL", f"{service.source} Mail")
    if not all(_SEARCH_LABELS.fullmatch(label) for label in before):
        return None
    if service.source == "Google" and first_path not in _GOOGLE_PATHS:
        return None
    return service


def _spellings(names: list[str]) -> list[str]:
    """A host as the list may have it: as it is, and with its ending left open."""
    found = [".".join(names)]
    if len(names) >= 2:
        found.append(".".join([*names[:-1], "*"]))
    if len(names) >= 3 and names[-2] in _SECOND_LEVEL and len(names[-1]) == 2:
        found.append(".".join([*names[:-2], "*"]))
    return found


def _term(parts: SplitResult, service: Service) -> str | None:
    if not service.terms:
        return None
    query = parse_query(parts.query)
    term = next((query[name][:TERM_LENGTH_MAX] for name in service.terms if query.get(name)), None)
    # Where the address led to, and nothing that was typed.
    return None if term is not None and re.match(r"[a-z][a-z0-9+.-]*://", term, re.IGNORECASE) else term
