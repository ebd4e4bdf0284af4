"""Names as they are met in a Chinese customer list: nicknames, plain names, and what guides write as remarks."""

SURNAMES = [
    ("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu"), ("陈", "chen"), ("杨", "yang"), ("黄", "huang"),
    ("赵", "zhao"), ("吴", "wu"), ("周", "zhou"), ("徐", "xu"), ("孙", "sun"), ("马", "ma"), ("朱", "zhu"),
    ("胡", "hu"), ("郭", "guo"), ("何", "he"), ("林", "lin"), ("罗", "luo"), ("郑", "zheng"), ("梁", "liang"),
    ("谢", "xie"), ("宋", "song"), ("唐", "tang"), ("许", "xu"), ("韩", "han"), ("冯", "feng"), ("邓", "deng"),
    ("曹", "cao"), ("彭", "peng"), ("曾", "zeng"), ("沈", "shen"), ("苏", "su"), ("蒋", "jiang"), ("叶", "ye"),
]  # fmt: skip
GIVEN = [
    ("婷", "ting"), ("静", "jing"), ("敏", "min"), ("丽", "li"), ("娜", "na"), ("雪", "xue"), ("颖", "ying"),
    ("倩", "qian"), ("琳", "lin"), ("佳怡", "jiayi"), ("思雨", "siyu"), ("梦瑶", "mengyao"), ("欣然", "xinran"),
    ("雨桐", "yutong"), ("子涵", "zihan"), ("诗琪", "shiqi"), ("晓彤", "xiaotong"), ("慧敏", "huimin"),
    ("嘉欣", "jiaxin"), ("美玲", "meiling"), ("春燕", "chunyan"), ("海霞", "haixia"), ("秋月", "qiuyue"),
    ("若曦", "ruoxi"), ("俊杰", "junjie"), ("浩", "hao"), ("伟", "wei"), ("磊", "lei"), ("晨", "chen"),
    ("宇轩", "yuxuan"), ("文博", "wenbo"), ("志强", "zhiqiang"), ("安琪", "anqi"), ("晓雯", "xiaowen"),
    ("莉莎", "lisha"), ("艺涵", "yihan"), ("可馨", "kexin"), ("梓萱", "zixuan"), ("玉兰", "yulan"),
]  # fmt: skip
NICK_HEADS = [
    "小", "阿", "大", "🌸", "🌙", "✨", "A", "甜", "爱吃", "不想上班的", "懒懒的", "奶茶", "今天也要", "一只", "半糖",
    "☀️", "南风", "北岛", "橘子味的", "快乐的",
]  # fmt: skip
NICK_TAILS = [
    "圆子", "静", "阿May", "鱼", "桃子", "柚子", "薄荷", "西西", "可乐", "栗子", "豆豆", "布丁", "团子", "米粒",
    "芝麻", "Yuki", "Coco", "Lily", "月亮", "星星", "晴天", "麦兜", "年糕", "云朵", "小满", "白桃", "抹茶", "Momo",
    "汤圆", "七七", "九九", "一一", "木木", "乐乐", "安安", "果冻", "糯米", "椰子", "兔子", "猫咪",
]  # fmt: skip
NICK_ENDS = ["", "", "", "", "", "呀", "~", "🍑", "儿", "🌷", "酱", "123", "同学", "-", "🐰", "。"]
TITLES = ["姐", "女士", "姐", "小姐", "阿姨", "哥", "妈妈"]


def nickname(draw: int) -> str:
    """A WeChat nickname, such as 小圆子 or 🌸阿May."""
    head = NICK_HEADS[draw % len(NICK_HEADS)]
    tail = NICK_TAILS[draw // 32 % len(NICK_TAILS)]
    return head + tail + NICK_ENDS[draw // 2048 % len(NICK_ENDS)]


def plain_name(draw: int) -> str:
    """A surname and a given name, or a form of address such as 王姐."""
    surname = SURNAMES[draw % len(SURNAMES)][0]
    if draw // 64 % 5 == 0:
        return surname + TITLES[draw // 512 % len(TITLES)]
    return surname + GIVEN[draw // 512 % len(GIVEN)][0]


def staff_name(draw: int) -> tuple[str, str]:
    """(name, its pinyin without spaces), which serves as a readable userid."""
    surname, surname_latin = SURNAMES[draw % len(SURNAMES)]
    given, given_latin = GIVEN[draw // 64 % len(GIVEN)]
    return surname + given, surname_latin + given_latin
