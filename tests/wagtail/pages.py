"""What is read: every public page, and the admin's views by their addresses (`{name}` is a part of the site)."""

from __future__ import annotations

import re

PUBLIC = """
/ /tea-1/ /tea-2/ /tea-3/ /contact/ /alias/ /secret/ /locked/ /old/ /nowhere/ /draft/ /search/ /search/?query=tea
/sitemap.xml /documents/{document}/menu.txt /images/{served}/{image}/width-200/
/_util/login/ /api/v2/pages/ /api/v2/pages/?search=tea /api/v2/pages/{post}/ /api/v2/pages/find/?html_path=/tea-1/
/api/v2/images/ /api/v2/images/{image}/ /api/v2/documents/ /api/v2/documents/{document}/
""".split()  # noqa: SIM905 - addresses read better as text

ADMIN = """
/admin/ /admin/account/ /admin/test404/ /admin/jsi18n/ /admin/sprite/ /admin/login/ /admin/password_reset/
/admin/pages/ /admin/pages/{home}/ /admin/pages/{home}/results/ /admin/pages/search/?q=tea
/admin/pages/search/results/?q=tea
/admin/pages/add/home/blogpage/{home}/ /admin/pages/usage/home/blogpage/ /admin/pages/usage/home/blogpage/results/
/admin/pages/create/home/blogpage /admin/pages/{post}/usage/ /admin/pages/{draft}/view_draft/
/admin/pages/{home}/add_subpage/ /admin/pages/{post}/delete/ /admin/pages/{post}/unpublish/
/admin/pages/{alias}/convert_alias/ /admin/pages/{post}/move/ /admin/pages/{post}/move/{other}/confirm/
/admin/pages/{post}/copy/ /admin/pages/{post}/privacy/ /admin/pages/{post}/revisions/{revision}/view/
/admin/pages/{post}/revisions/compare/{revision}...{latest}/ /admin/pages/{post}/history/
/admin/pages/{post}/history/results/ /admin/pages/{submitted}/workflow_history/
/admin/pages/{submitted}/workflow_history/detail/{state}/ /admin/pages/workflow/preview/{submitted}/{task}/
/admin/pages/workflow/action/{submitted}/approve/{task_state}/
/admin/pages/workflow/confirm_cancellation/{submitted}/
/admin/choose-page/ /admin/choose-page/{home}/ /admin/choose-page/search/?q=tea /admin/choose-external-link/
/admin/choose-email-link/ /admin/choose-phone-link/ /admin/choose-anchor-link/ /admin/tag-autocomplete/?term=t
/admin/collections/ /admin/collections/add/ /admin/collections/{collection}/
/admin/collections/{collection}/delete/
/admin/collections/{collection}/privacy/
/admin/workflows/list/ /admin/workflows/add/ /admin/workflows/edit/{workflow}/ /admin/workflows/usage/{workflow}/
/admin/workflows/disable/{workflow}/ /admin/workflows/tasks/index/ /admin/workflows/tasks/select_type/
/admin/workflows/tasks/edit/{task}/ /admin/workflows/tasks/disable/{task}/ /admin/workflows/task_chooser/
/admin/workflows/tasks/add/wagtailcore/groupapprovaltask/
/admin/reports/locked/ /admin/reports/workflow/ /admin/reports/workflow_tasks/ /admin/reports/site-history/
/admin/reports/aging-pages/ /admin/reports/page-types-usage/
/admin/forms/ /admin/forms/submissions/{form}/ /admin/forms/submissions/{form}/?export=csv
/admin/forms/submissions/{form}/delete/?selected-submissions={submission}
/admin/redirects/ /admin/redirects/add/ /admin/redirects/{redirect}/ /admin/redirects/{redirect}/delete/
/admin/redirects/import/
/admin/searchpicks/ /admin/searchpicks/add/ /admin/searchpicks/{query}/ /admin/searchpicks/{query}/delete/
/admin/searchpicks/queries/chooser/ /admin/searchpicks/reports/search-terms/
/admin/settings/home/branding/ /admin/settings/home/branding/{site}/ /admin/styleguide/ /admin/embeds/chooser/
/admin/snippets/ /admin/snippets/home/author/ /admin/snippets/home/author/add/
/admin/snippets/home/author/delete/{author}/ /admin/snippets/home/author/usage/{author}/
/admin/snippets/home/author/history/{author}/ /admin/snippets/home/author/copy/{author}/
/admin/snippets/home/author/unpublish/{author}/ /admin/snippets/choose/home/author/
/admin/documents/ /admin/documents/add/ /admin/documents/edit/{document}/ /admin/documents/delete/{document}/
/admin/documents/multiple/add/ /admin/documents/usage/{document}/ /admin/documents/chooser/
/admin/documents/chooser/chosen/{document}/
/admin/images/ /admin/images/{image}/ /admin/images/{image}/delete/ /admin/images/{image}/generate_url/
/admin/images/{image}/generate_url/output/ /admin/images/{image}/preview/width-100/ /admin/images/add/
/admin/images/usage/{image}/ /admin/images/multiple/add/ /admin/images/chooser/
/admin/images/chooser/chosen/{image}/ /admin/images/chooser/{image}/select_format/
/admin/sites/ /admin/sites/new/ /admin/sites/edit/{site}/ /admin/sites/delete/{site}/ /admin/sites/history/{site}/
/admin/users/ /admin/users/new/ /admin/users/edit/{reader}/ /admin/users/delete/{reader}/
/admin/users/history/{reader}/ /admin/groups/ /admin/groups/new/ /admin/groups/edit/{group}/
/admin/groups/delete/{group}/ /admin/bulk/wagtailcore/page/delete/?id={post}
/admin/bulk/wagtailcore/page/move/?id={post} /admin/bulk/wagtailcore/page/publish/?id={draft}
/admin/bulk/wagtailcore/page/unpublish/?id={post} /admin/bulk/wagtailimages/image/add_tags/?id={image}
/admin/bulk/wagtailimages/image/delete/?id={image} /admin/bulk/wagtaildocs/document/delete/?id={document}
/admin/bulk/auth/user/set_active_state/?id={reader}
/admin/api/main/pages/ /admin/api/main/pages/{post}/ /admin/api/main/images/ /admin/api/main/documents/
/django-admin/ /django-admin/auth/user/ /django-admin/auth/group/{group}/change/
""".split()  # noqa: SIM905 - addresses read better as text

# What differs each time a page is made: tokens, the keys of the rich text editor's blocks, and how long ago it is.
_PASSING = [
    re.compile(rb'csrfmiddlewaretoken\\?" value=\\?"\w+'),
    re.compile(rb'"CSRF_TOKEN": "\w+"'),
    re.compile(rb"""key(\\*&quot;|\\*"): (\\*&quot;|\\*")\w{5}\b"""),
    re.compile(rb"(?i)just now|\d+(\xc2\xa0|\\u00a0|&nbsp;| )minutes?( ago)?"),
]


def lasting(body: bytes) -> bytes:
    """Return a body without what differs each time it is made."""
    for passing in _PASSING:
        body = passing.sub(b"", body)
    return body
