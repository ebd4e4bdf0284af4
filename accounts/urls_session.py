"""Routes every host has: coming in, going out, one's own account, users and roles of the host."""

from django.urls import path

from accounts.views import login, mine, people

urlpatterns = [
    path("login/", login.login, name="login"),
    path("logout/", login.log_out, name="logout"),
    path("language/", login.set_language, name="set_language"),
    path("welcome/<str:token>/", login.welcome, name="welcome"),
    path("account/password/", mine.password_change, name="password_change"),
    path("account/sessions/", mine.session_list, name="sessions"),
    path("account/sessions/<int:pk>/end/", mine.session_end, name="session_end"),
    path("account/sessions/end-others/", mine.session_end_others, name="session_end_others"),
    path("settings/users/", people.user_list, name="users"),
    path("settings/users/new/", people.user_create, name="user_create"),
    path("settings/users/<int:pk>/", people.user_edit, name="user_edit"),
    path("settings/users/<int:pk>/link/", people.user_link, name="user_link"),
    path("settings/users/<int:pk>/active/", people.user_active, name="user_active"),
]
