"""A user's own account: password and sessions."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.forms import PasswordChangeForm
from accounts.models import LoginSession
from accounts.services import login, sessions
from accounts.services.links import set_password
from accounts.sessions import stored_key
from scrm.lib.address import client_address
from scrm.lib.errors import UserError


@sensitive_post_parameters("old", "password", "again")
@require_http_methods(["GET", "POST"])
@requires(None, with_old_password=True)
def password_change(request: MemberRequest) -> HttpResponse:
    """A new password, with the old one; other sessions end, this one stays."""
    form = PasswordChangeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            login.check_password(request.user.username, form.cleaned_data["old"], ip=client_address(request))
            user = set_password(
                request.user,
                form.cleaned_data["password"],
                by=request.actor,
                keep_session=request.session.session_key or "",
            )
        except UserError as error:
            form.add_error("password" if "password" in error.fields else "old", str(error.message))
        else:
            update_session_auth_hash(request, user)
            _follow_new_key(request)
            messages.success(request, _("密码已修改,其他设备已退出登录。"))
            return redirect("sessions")
    status = 422 if form.errors else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)


def _follow_new_key(request: MemberRequest) -> None:
    """update_session_auth_hash gave this browser a new session key."""
    request.session.save()
    LoginSession.objects.filter(user=request.user).update(session_digest=stored_key(request.session.session_key or ""))


@require_GET
@requires(None)
def session_list(request: MemberRequest) -> HttpResponse:
    """Where the user is logged in."""
    rows = LoginSession.objects.filter(user=request.user).order_by("-seen_at")
    return render(
        request, "accounts/sessions.html", {"rows": rows, "own": stored_key(request.session.session_key or "")}
    )


@require_POST
@requires(None)
def session_end(request: MemberRequest, pk: int) -> HttpResponse:
    """Log one other device out."""
    row = get_object_or_404(LoginSession, pk=pk, user=request.user)
    sessions.end_sessions(request.user, by=request.actor, only=row.pk)
    messages.success(request, _("已让这台设备退出登录。"))
    return redirect("sessions")


@require_POST
@requires(None)
def session_end_others(request: MemberRequest) -> HttpResponse:
    """Log every other device out."""
    ended = sessions.end_sessions(request.user, by=request.actor, keep=request.session.session_key or "")
    messages.success(request, _("已让其他 %(n)d 台设备退出登录。") % {"n": ended})
    return redirect("sessions")
