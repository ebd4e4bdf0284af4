"""Moments (客户朋友圈, reference 8) as WeCom answers them."""

from dataclasses import dataclass

from wecom_bridge.shapes.pieces import (
    Malformed,
    Row,
    decimal,
    ids,
    integer,
    integers,
    needed,
    needed_integer,
    needed_part,
    part,
    rows,
    seconds,
    text,
    told,
)

PENDING, RUNNING, DONE = 1, 2, 3
CORP_MADE, PERSONAL = 0, 1
PARTIAL, PUBLIC = 0, 1


@dataclass(frozen=True)
class MomentJob:
    """add_moment_task: an asynchronous job, which can be asked about for 24 hours."""

    jobid: str

    @classmethod
    def read(cls, row: Row) -> "MomentJob":
        return cls(needed(row, "jobid"))


@dataclass(frozen=True)
class SenderList:
    """Senders of a visible range, here those WeCom could not use."""

    user_list: tuple[str, ...] = ()
    department_list: tuple[int, ...] = ()


@dataclass(frozen=True)
class TagList:
    """Tags of a visible range, here those WeCom could not use."""

    tag_list: tuple[str, ...] = ()


@dataclass(frozen=True)
class MomentResult:
    """What the job came to; with an errcode other than 0 there is no moment."""

    errcode: int = 0
    errmsg: str = ""
    moment_id: str = ""
    invalid_sender_list: SenderList = SenderList()
    invalid_external_contact_list: TagList = TagList()

    @classmethod
    def read(cls, row: Row) -> "MomentResult":
        """Raises Malformed for a success without a moment_id."""
        errcode = integer(row, "errcode")
        senders, customers = part(row, "invalid_sender_list"), part(row, "invalid_external_contact_list")
        return cls(
            errcode=errcode,
            errmsg=text(row, "errmsg"),
            moment_id=text(row, "moment_id") if errcode else needed(row, "moment_id"),
            invalid_sender_list=SenderList(ids(senders, "user_list"), integers(senders, "department_list")),
            invalid_external_contact_list=TagList(ids(customers, "tag_list")),
        )


@dataclass(frozen=True)
class MomentJobState:
    """get_moment_task_result: status 1 pending, 2 running, 3 done. `result` is None before it is done."""

    status: int
    type: str = ""
    result: MomentResult | None = None

    @classmethod
    def read(cls, row: Row) -> "MomentJobState":
        """Raises Malformed for one that is done without a result."""
        status = needed_integer(row, "status")
        found = MomentResult.read(needed_part(row, "result")) if status == DONE else None
        return cls(status, text(row, "type"), found)


@dataclass(frozen=True)
class MomentText:
    content: str = ""


@dataclass(frozen=True)
class MomentImage:
    """An image of a listed moment; its media_id is another than the one it was made with."""

    media_id: str = ""


@dataclass(frozen=True)
class MomentVideo:
    media_id: str = ""
    thumb_media_id: str = ""


@dataclass(frozen=True)
class MomentLink:
    title: str = ""
    url: str = ""


@dataclass(frozen=True)
class MomentLocation:
    latitude: float | None = None
    longitude: float | None = None
    name: str = ""


@dataclass(frozen=True)
class MomentInfo:
    """An item of get_moment_list. create_type 0 corp, 1 personal; visible_type 0 partial, 1 public; no creator: the API's."""

    moment_id: str
    create_time: int
    create_type: int = CORP_MADE
    visible_type: int = PUBLIC
    creator: str = ""
    text: MomentText | None = None
    image: tuple[MomentImage, ...] = ()
    video: MomentVideo | None = None
    link: MomentLink | None = None
    location: MomentLocation | None = None

    @classmethod
    def read(cls, row: Row) -> "MomentInfo":
        words, video, link, place = (part(row, name) for name in ("text", "video", "link", "location"))
        return cls(
            moment_id=needed(row, "moment_id"),
            create_time=seconds(row, "create_time"),
            create_type=integer(row, "create_type"),
            visible_type=integer(row, "visible_type", PUBLIC),
            creator=text(row, "creator"),
            text=MomentText(text(words, "content")) if words else None,
            image=tuple(MomentImage(text(one, "media_id")) for one in rows(row, "image")),
            video=MomentVideo(text(video, "media_id"), text(video, "thumb_media_id")) if video else None,
            link=MomentLink(text(link, "title"), text(link, "url")) if link else None,
            location=_location(place) if place else None,
        )


def _location(row: Row) -> MomentLocation:
    return MomentLocation(decimal(row, "latitude"), decimal(row, "longitude"), text(row, "name"))


@dataclass(frozen=True)
class MomentList:
    """get_moment_list: at most 20; an empty next_cursor is the end."""

    moment_list: tuple[MomentInfo, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "MomentList":
        found = tuple(MomentInfo.read(one) for one in rows(row, "moment_list"))
        return cls(found, text(row, "next_cursor"), told(row, "moment_list"))


@dataclass(frozen=True)
class MomentTask:
    """A sender: publish_status 0 not published, 1 published."""

    userid: str
    publish_status: int = 0


@dataclass(frozen=True)
class MomentTaskList:
    """get_moment_task."""

    task_list: tuple[MomentTask, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "MomentTaskList":
        found = (MomentTask(needed(one, "userid"), integer(one, "publish_status")) for one in rows(row, "task_list"))
        return cls(tuple(found), text(row, "next_cursor"), told(row, "task_list"))


@dataclass(frozen=True)
class MomentCustomer:
    """A customer who may see it (with the sender's userid), or whom it was shown to (without)."""

    external_userid: str
    userid: str = ""


@dataclass(frozen=True)
class MomentCustomerList:
    """get_moment_customer_list, get_moment_send_result."""

    customer_list: tuple[MomentCustomer, ...] = ()
    next_cursor: str = ""

    @classmethod
    def read(cls, row: Row) -> "MomentCustomerList":
        found = (
            MomentCustomer(needed(one, "external_userid"), text(one, "userid")) for one in rows(row, "customer_list")
        )
        return cls(tuple(found), text(row, "next_cursor"))


@dataclass(frozen=True)
class MomentReaction:
    """A like or a comment, of a customer or of a colleague."""

    create_time: int = 0
    external_userid: str = ""
    userid: str = ""

    @classmethod
    def read(cls, row: Row) -> "MomentReaction":
        found = cls(seconds(row, "create_time"), text(row, "external_userid"), text(row, "userid"))
        if not (found.external_userid or found.userid):
            raise Malformed("external_userid or userid")
        return found


@dataclass(frozen=True)
class MomentComments:
    """get_moment_comments."""

    comment_list: tuple[MomentReaction, ...] = ()
    like_list: tuple[MomentReaction, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "MomentComments":
        comments = tuple(MomentReaction.read(one) for one in rows(row, "comment_list"))
        return cls(comments, tuple(MomentReaction.read(one) for one in rows(row, "like_list")))


@dataclass(frozen=True)
class UploadedAttachment:
    """media/upload_attachment: good for 3 days, and in moments (or the product album) alone."""

    media_id: str
    type: str = ""
    created_at: int = 0

    @classmethod
    def read(cls, row: Row) -> "UploadedAttachment":
        return cls(needed(row, "media_id"), text(row, "type"), seconds(row, "created_at"))
