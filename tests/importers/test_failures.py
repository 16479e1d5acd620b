"""Visits that failed are failures, and documents that only speak of failures are documents."""

import re

import pytest

from lrat_hub.importers.failures import emptiness_of, error_of, failure_of

TONGYI = (
    "The useful information in https://example.org/x for user goal {goal} as follows: \n\nEvidence in page: \n"
    "{evidence}\n\nSummary: \n{summary}\n\n"
)

FAILURES = [
    "HTTP Error 403: Forbidden", "[visit] Failed to read page.", "Failed to fetch: 403 Forbidden",
    "Error: rate limit exceeded (429). Try again.", "404 Client Error: Not Found for url: https://example.org",
    "404 Not Found", "403", "502 Bad Gateway\nnginx", "Request failed with status code 404", "Status code: 503",
    "HTTP 429 Too Many Requests", "Page not found", "Sorry, the page you are looking for could not be found.",
    "The page could not be accessed.", "Could not fetch https://example.org/y",
    "Unable to retrieve content from the URL",
    "TimeoutError: Navigation timeout of 30000 ms exceeded", "Request timed out after 30 seconds", "Read timed out.",
    "net::ERR_NAME_NOT_RESOLVED at https://example.org", "Connection refused", "ReadTimeout",
    "ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded", "MCP error -32603: fetch failed",
    "Error executing tool fetch: Failed to fetch robots.txt", "The site's robots.txt disallows fetching this page",
    "Disallowed by robots.txt", "Please complete the captcha to continue", "Verify you are human",
    "Our systems have detected unusual traffic from your computer network.", "Error fetching URL `https://else.org`",
    "[Document not found] 17", "[Error retrieving document: x]", "No content found", "Empty response",
    "Document with docid 55 not found", "Document 'x1' not found.", "Invalid URL: foo", "None", "Rate limit exceeded",
    "You have exceeded your quota", "Cannot access https://example.org: 403", "Error code 520", "Error: 404",
    "Unsupported content type: application/pdf", "An error occurred while fetching the page.",
    "Google search Timeout, return None, Please try again later.", "Tool 'foo' not found", "PDF could not be parsed",
    "[Search] Invalid request format: Input must be a JSON object", "This page isn't available",
    "The requested URL was not found on this server.", "[browser] Error: Target URL returned error 403: Forbidden",
    "❌ Failed to load page", "Failed to get content: timeout", "Sorry, something went wrong. Please try again.",
    "Just a moment...\nEnable JavaScript and cookies to continue", "<tool_use_error>File not found</tool_use_error>",
    "Access Denied\n\nYou don't have permission to access \"http://example.org\" on this server.",
    "Attention Required! | Cloudflare\nSorry, you have been blocked", "No results found for 'a b'. Be less specific.",
    "Access to this page has been denied because we believe you are using automation tools",
    "Traceback (most recent call last):\n  File x\nValueError: y",
    TONGYI.format(
        goal="g", evidence="The provided webpage content could not be accessed. Please check the URL or file format.",
        summary="The webpage content could not be processed, and therefore, no information is available.",
    ),
    "Title: T\n\nURL Source: https://example.org\n\nWarning: Target URL returned error 404: Not Found\n\n"
    + "Words. " * 999,
    '{"success": false, "url": "https://example.org", "extracted_info": "", "error": "403"}', '{"error": "not found"}',
    '{"error": {"code": 404, "message": "Not found"}}', '{"status": "error", "message": "boom"}',
    '{"statusCode": 404, "message": "x"}', '{"results": [], "failed_results": [{"url": "u", "error": "403"}]}',
    '[{"type": "text", "text": "Error: could not open"}]', "{'success': False, 'error': 'x'}",
    '{"isError": true, "content": [{"type": "text", "text": "boom"}]}', '{"ok": false}', '{"detail": "Not Found"}',
    '[{"error": "403", "url": "a"}, {"error": "404", "url": "b"}]',
    # Under the title that a tool writes above pages without one
    "# Untitled\n\nNo content could be extracted from this page",
    "# Just a moment...\n\nEnable JavaScript and cookies",
    '# Untitled\n\nError: Reader API returned status 451: {"data":null,"message":"' + "words " * 200 + '"}',
    "This site can’t be reached", "We can’t find that page", "You have reached the maximum number of visits.",
    "HTTPSConnectionPool(host='example.org', port=443): Max retries exceeded with url: /x",
    # What tools of agents show without marking it as an error
    "Unable to verify if domain example.org is safe to fetch. This may be due to network restrictions.",
    "REDIRECT DETECTED: The URL redirects to a different host.\n\nOriginal URL: https://example.org/x\nRedirect URL: "
    'https://other.org/x\nStatus: 301 Moved Permanently\n\nTo complete it, fetch the address.\n\n- url: "u"',
    "Error during fallback fetch for https://example.org: Request failed with status code 404 Not Found",
    "The sites robots.txt (https://example.org/robots.txt), specifies that autonomous fetching of this page is not "
    "allowed, <useragent>x</useragent>\n" + "Disallow: /words\n\n" * 99,
    "Contents of https://example.org/x:\n<error>Page failed to be simplified from HTML</error>",
    "Timeout 30000ms exceeded.", "Please enable JS and disable any ad blocker",
    "You've been blocked by network security.",
    "Error code: 400 - {'error': {'message': 'maximum context length'}}", "The operation was aborted due to timeout",
    "[Request interrupted by user for tool use]", "The user doesn't want to proceed with this tool use.",
    "Claude requested permissions to use WebFetch, but you haven't granted it yet.", "# Untitled\n\n",
    "Title: \n\nURL Source: https://example.org/x\n\nMarkdown Content:\n",
    '{"results": [], "statuses": [{"id": "u", "status": "error", "error": {"tag": "CRAWL_NOT_FOUND"}}]}',
    '{"type": "web_fetch_tool_error", "error_code": "url_not_accessible"}',
    # In other languages
    "错误：无法访问该网页", "抱歉，网页无法打开，请稍后再试。", "请求超时",
    "エラー：ページが見つかりません", "お探しのページは存在しません。",
    "요청하신 페이지를 찾을 수 없습니다.", "Fehler: Seite nicht gefunden", "Zugriff verweigert",
    "Erreur 404 : page introuvable",
    "Error 404: página no encontrada", "Página não encontrada", "Страница не найдена", "Accesso negato",
]  # fmt: skip

HARMLESS = [
    "", "Words", "Error correction codes are used in storage.", "404 is the number of the house where he lived.",
    "The HTTP 404 error message means that the page was not found. It is common.", "403 BC was a year.",
    "404 Media is a news site founded in 2023 by four journalists.", "500 Days of Summer is a film",
    "Error: A Novel\n\nError is a novel of 1999 by A. Writer.\n\nPlot\n\nA man errs.\n\nReception\n\nGood.",
    "Timeout (film)\nTimeout is a film of 2011.", "Terror (film)\nTerror is a film of 1978.", 
    "Failed states index: a list.",
    "The document could not be found for decades, until a farmer dug it up; it now lies in Turku.",
    "Failed to Launch is a podcast about rockets.", "Access to education in Finland is free.",
    "Forbidden City is a palace in Beijing.", "Forbidden: a history of censorship", "Not Found: a poem about loss.",
    "The server was a waiter in Turku.", "Unable to sleep, he wrote the novel in a week.",
    "He could not open the door. The story goes on.", "Rate limits in physics are known as speed limits.",
    "The page was torn from the book in 1640.", "The site is open from 9 to 17.", "Error bars show one deviation.",
    "The link between smoking and cancer was not accepted until 1950.", "Just a Moment (song)\nA song of 1989.",
    "No results were published until 1987, when the team in Turku printed them.", "Exceptions prove rules.",
    "No document is older than the charter of 1229.", "No text survives from that age, but there are drawings.",
    "The article was published in Nature. It describes a bird.", "Connection (album) is an album",
    "Error 404 is a band from Spain, formed in 1999 in Vigo.", "DNS was invented in 1983 by Paul Mockapetris.",
    "The request of the king was denied in 1654 and the castle fell.", "Timeout, a magazine, lists events.",
    "The content of the box was never found again until 2001.", "Status: completed. Score 403.",
    "Unknown documents of the Teutonic Order came to light in 1998.", "Undefined behaviour is a term.",
    "Missing documents were returned to Turku in 1955.", "You have exceeded all hopes, wrote the king.",
    "No page of the book is blank; the text runs to 300 pages.", "Search error rates fell by 5 percent.",
    "Robots.txt is a file that tells crawlers what they may read. It was proposed in 1994.", "Document 7:\nLong text",
    "Searching for the ship failed in 1911; it was found in 1988.", 
    "The data are not public, but a copy lies in Turku.",
    "HTTP 404 - Wikipedia\n\n" + "In computer network communications, the 404 is a status. " * 40,
    "Error handling\n\n" + "Error: what programs print. Failed to fetch is one. " * 40,
    TONGYI.format(goal="how pages could not be accessed", evidence="HTTP Error 403 is explained.", summary="So."),
    '{"title": "Error handling", "content": "How to handle"}', '{"success": true, "extracted_info": "Words"}',
    '{"error": null, "text": "Words"}', '[{"docid": 1, "text": "404 not found is a status"}]',
    '{"error": "partial", "content": "A page of words."}', '{"docid": "7", "text": "Long text of words"}',
    "The operation was aborted in 1944 and the ship sank.", "The request was rejected by the king in 1654.",
    "Contents of https://example.org/x:\nWords\n\n<error>Content truncated. Call the tool again.</error>",
    "REDIRECT is a poem.", "Redirect detected signals with a switch.", '{"results": [], "statuses": []}',
    "Erreur : un film de 1999.", "Fehler: ein Roman von 1920",
    "错误的喜剧是莎士比亚的一部戏剧。", "网页设计是一门学科。", "エラーはプログラムの用語です。",
    "# Forbidden City\n\nA palace in Beijing.", "# Untitled\n\nA poem of 1912 about the sea.", "请求权是民法的概念。",
    "Error 404: una novela de 2012", "# HTTP 404\n\nA status." + " It says that a page was not found." * 40,
    '{"code": 404, "data": {"title": "T"}}', "[1, 2, 3]", '{"status": "ok"}',
]  # fmt: skip


@pytest.mark.parametrize("text", FAILURES)
def test_a_failed_visit_is_a_failure(text):
    assert failure_of(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_document_that_speaks_of_failures_is_none(text):
    assert failure_of(text) is None


def test_there_are_enough_of_both():
    assert len(FAILURES) >= 40
    assert len(HARMLESS) >= 40


@pytest.mark.parametrize("page", ['""', "[]", '{"content": ""}', '{"url": "u", "title": "T", "text": " "}'])
def test_a_page_whose_text_is_empty_is_a_failed_visit_and_an_empty_list_is_none(page):
    assert emptiness_of(page)
    assert failure_of(page) is None


@pytest.mark.parametrize(
    "page", ["", "Words", '{"content": "Words"}', '{"content": "", "html": "Words"}', '{"id": "7"}']
)
def test_a_page_that_the_log_does_not_keep_is_not_empty(page):
    assert emptiness_of(page) is None


def test_patterns_and_marks_of_a_log_make_failures():
    assert (
        failure_of("The archive is closed.\nCome back.", [re.compile("archive is closed")]) == "The archive is closed."
    )
    assert error_of("Words", failed=True) == "Words"
    assert error_of("", failed=True) == "the tool failed"


@pytest.mark.parametrize(
    "page",
    [
        "404 Not Found is the title of a 2020 album by a band from Oslo.", "HTTP 404 Not Found is a response code.",
        "403 Forbidden was a punk band.", "500 Internal Server Error (film) by X",
        "'404 Not Found' is the third album.",
        "Forbidden: The Story of a Love", "Conflict: The causes of the war", "Page Not Found is a novel.",
        "Access Denied is a 2015 film.", "502 Server Error was an art project.",
    ],
)  # fmt: skip
def test_a_page_about_what_is_called_like_a_failure_is_a_page(page):
    assert failure_of(page) is None


@pytest.mark.parametrize(
    "shown",
    ["404 Not Found for url https://x.org", "404 Not Found: https://x.org", "404 Not Found\nnginx",
     "403 Forbidden: you don't have permission", "Forbidden: the requested resource needs a login",
     "404 Client Error: Not Found for url: https://x.org", "HTTP Error 404: Not Found"],
)  # fmt: skip
def test_what_a_server_adds_to_a_failure_makes_no_page_of_it(shown):
    assert failure_of(shown) is not None
