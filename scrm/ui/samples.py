"""Sample content of the style page: invented, and never read from a tenant."""

from django import forms

from scrm.ui.charts import Chart, Series

AS_OF = "11-23 10:20"

STATS = [
    {
        "label": "客户数",
        "value": "11,704",
        "unit": "人",
        "url": "#s-list",
        "as_of": AS_OF,
        "delta": "较去年同期 85.2%",
        "delta_up": True,
        "delta_tone": "good",
        "info": "去重人数:现有好友关系的客户,同一人添加多位导购只算一次。时区:本商户时区。",
    },
    {
        "label": "好友关系数",
        "value": "13,942",
        "unit": "条",
        "url": "#s-list",
        "as_of": AS_OF,
        "info": "一位客户与一位导购的好友关系为一条。",
    },
    {
        "label": "上月成交客户",
        "value": "2,130",
        "unit": "人",
        "url": "#s-list",
        "as_of": AS_OF,
        "note": "占客户数 18.2%",
        "info": "上月至少有一笔有效订单的客户,扣除全额退款。",
    },
    {
        "label": "上月成交额",
        "value": "¥960,024",
        "url": "#s-list",
        "as_of": AS_OF,
        "delta": "较前月 3.1%",
        "delta_up": False,
        "delta_tone": "bad",
        "info": "已绑定客户的订单实付金额,扣除退款。",
    },
    {
        "label": "私域占比",
        "value": "—",
        "as_of": AS_OF,
        "note": "缺少:门店日销售额文件",
        "info": "私域成交额 ÷ 门店全渠道销售额。",
    },
]

TABS = [
    {"label": "全部", "url": "#", "active": True, "count": 11704},
    {"label": "近30天新加未购", "url": "#", "count": 611},
    {"label": "60–120天未购老客", "url": "#", "count": 1053},
    {"label": "忠诚且30天内生日", "url": "#", "count": 73},
]

_PEOPLE = [
    ("小圆子", "王姐-敏感肌-静安", "复购", ["敏感肌", "抗老"], 486000, 9, "好友", "ok", ""),
    ("A静", "", "首购", ["干皮", "门店扫码"], 31200, 1, "好友", "ok", ""),
    ("🌸阿May", "May-生日12月", "忠诚", ["油皮", "美白", "高客单≥¥800"], 1286050, 27, "好友", "ok", ""),
    ("王姐", "王姐 静安寺老客 爱问成分 只用修护线", "沉睡", ["敏感肌"], 92300, 4, "已删除:客户删", "bad", "user-minus"),
    ("用户8231", "", "新添加", [], None, 0, "好友", "ok", ""),
    ("陈小满", "小满-朋友介绍", "有意向", ["祛痘"], None, 0, "已转移", "idle", "arrow-right-left"),
    ("Lily.Zhou", "周莉", "长期未购", ["干皮", "价格敏感"], 21900, 1, "好友", "ok", ""),
    ("晴天", "晴天妈妈", "复购", ["敏感肌", "抗老", "门店扫码"], 358800, 7, "已删除:导购删", "bad", "user-minus"),
]

ROWS = [
    {
        "id": 1000 + index,
        "name": name,
        "remark": remark,
        "stage": stage,
        "guide": "林小雅",
        "store": "上海静安寺店",
        "tags": tags,
        "spent": spent,
        "orders": orders,
        "added": f"11-{22 - index:02d} 1{index}:05",
        "relation": relation,
        "tone": tone,
        "icon": icon,
    }
    for index, (name, remark, stage, tags, spent, orders, relation, tone, icon) in enumerate(_PEOPLE)
]

SOURCE_CHART = Chart(
    key="sources",
    kind="hbar",
    label="近 30 天新增客户,按来源",
    category_label="来源",
    categories=["收银台门店码", "试用台桌卡", "包裹卡", "公众号菜单", "小红书", "异业·樱见茶饮", "任务宝", "视频号"],
    series=[Series("新增", [338, 121, 96, 58, 47, 44, 31, 7], ["#s-list"] * 8)],
)
TREND_CHART = Chart(
    key="trend",
    kind="line",
    label="近 6 个月客户数与新增",
    category_label="月份",
    categories=["6月", "7月", "8月", "9月", "10月", "11月"],
    series=[
        Series("客户数", [9480, 9926, 10391, 10855, 11271, 11704]),
        Series("去年同期", [None, None, 5410, 5702, 6011, 6318]),
    ],
    note="去年 8 月前为接入日之前:无数据。",
)

STEPS = [
    {"label": "内容", "url": "#", "state": "done"},
    {"label": "人群", "url": "#", "state": "done"},
    {"label": "体检", "url": "", "state": "now"},
    {"label": "提交", "url": "", "state": "next"},
]
CHECKS = [
    {"tone": "ok", "text": "可触达 7,912 人,圈选 8,640 人", "detail": "对照组(不触达)396 人,同客只发一次"},
    {
        "tone": "warn",
        "text": "311 人本月额度用尽",
        "detail": "改到明天 10:00 可多触达 1,204 人",
        "fix_url": "#",
        "fix_label": "改到明天",
    },
    {
        "tone": "bad",
        "text": "2 家门店没有门店版内容",
        "detail": "温州五马街、昆明南屏街将使用总部版本",
        "fix_url": "#",
        "fix_label": "补内容",
    },
]
MESSAGE = "周末到店领小样:修护精华、洁面各一份,不用买东西。\n静安寺店 021-6288 1234,周六日 10:00–21:00。"
ATTACHMENTS = [{"kind": "miniprogram", "title": "周末到店·小样派送", "text": "蔓枝护肤"}]
EVENTS = [
    {"at": "11-23 09:41", "title": "打开链接", "text": "周末到店·小样派送(可识别访客)"},
    {"at": "11-20 19:32", "title": "下单 ¥312", "text": "修护精华 30ml × 1,POS 上海静安寺店"},
    {"at": "11-02 10:05", "title": "群发已确认发送", "text": "会员日双倍积分,由林小雅确认;结果:发送成功"},
    {"at": "10-28 15:20", "title": "阶段:首购 → 复购", "quiet": True},
    {"at": "2025-12-06", "title": "添加为好友", "text": "门店活码「收银台」,林小雅"},
]
FIRST_STEPS = [
    {"label": "绑定企业微信", "url": "#", "done": True},
    {"label": "开启客户联系并选择导购", "url": "#", "done": False},
    {"label": "打印第一张门店活码", "url": "#", "done": False},
]
TAG_NAMES = ["敏感肌", "干皮", "油皮", "抗老", "美白", "祛痘"]


class SampleForm(forms.Form):
    """A form with one of each control; bound, so that the errors show."""

    name = forms.CharField(label="活动名称", help_text="只有同事看得到,客户看不到。")
    message_class = forms.ChoiceField(
        label="消息类型",
        choices=[("service", "服务"), ("content", "内容"), ("promo", "促销")],
        widget=forms.RadioSelect,
        initial="promo",
    )
    deadline = forms.TimeField(
        label="确认截止时间",
        widget=forms.TimeInput(attrs={"type": "time"}),
        error_messages={"invalid": "21:00–09:00 是免打扰时段。请选 09:00 到 20:59 之间的时间。"},
    )
    store = forms.ChoiceField(label="门店", choices=[("", "全部门店"), ("1", "上海静安寺店")], required=False)
    text = forms.CharField(label="文字内容", widget=forms.Textarea(attrs={"rows": 3}), required=False)
    is_canary = forms.BooleanField(label="先在一家门店试发", required=False)


PHONE_NAV = [
    {"label": "今日", "url": "#", "icon": "list-checks", "active": True},
    {"label": "客户", "url": "#", "icon": "users-round"},
    {"label": "我的", "url": "#", "icon": "circle-user"},
]
