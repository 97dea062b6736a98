"""Writes countdown.jsonl: what TinyZero's countdown rule makes of expressions, evaluated by this Python.

The rule in short: of the last line, the last pair of answer tags; the runs of digits in it are the given numbers, each
once; nothing else stands in it than digits, + - * / . ( ) and white space; and its value is less than 1e-5 away from the
target.

    python countdown.py > countdown.jsonl
"""

import itertools
import json
import random
import re
import warnings

warnings.simplefilter("ignore")


def value(text):
    if not re.match(r"^[\d+\-*/().\s]+$", text):
        return None
    try:
        return eval(text, {"__builtins__": None}, {})
    except BaseException:
        return None


def score(written, numbers, target):
    found = re.findall(r"<answer>(.*?)</answer>", written.split("\n")[-1])
    if not found:
        return 0
    text = found[-1].strip()
    try:
        used = sorted(int(run) for run in re.findall(r"\d+", text))
        return int(used == sorted(numbers) and abs(value(text) - target) < 1e-5)
    except Exception:
        return 0


HAND = """
-100+30+93 | -(100-30)+93 | (-100 + 93) + 30 | 93 - 100 + 30 | +93-100+30 | 93+-100+30 | 93--100-30 | 93-+100+30
--93-100+30 | -(-93)-100+30 | -+-93-100+30 | (93)-(100)+(30) | ((93-100))+30 | 93-100+30. | 93.-100+30 | 93.0-100+30
0093-100+30 | 093-100+30 | 93-100+030 | 00093.-100+30 | 007 | 7 | 00 | 0 | 0.0 | -0 | 0007. | 07.5*2 | .5*4 | 5.*4 | 1.5*2
1..5 | 1.5.2 | 1 .5 | 1. 5 | . | .. | ... | ...+1 | () | (()) | (1)(2) | (1) (2) | 1 (2) | 1(2) | 1 2 | 12 3 | ((1+2) | (1+2))
)1+2( | 1+ | +1 | +-1 | *1 | **1 | (*1) | /1 | 1/ | 1// | 1** | 1+*2 | 1*+2 | 1*-2 | 1/-2 | 1//-2 | 1**-2 | 2**-1 | 2**-2*8
-2**2 | (-2)**2 | 2**3**2 | (2**3)**2 | -2**-2 | 2* *3 | 2 ** 3 | 2*** 3 | 2***3 | 7/ /2 | 7//2 | -7//2 | 7//-2 | -7//-2
7.//2 | -7.//2 | 7//2. | 7.5//.5 | 1///2 | 6/4 | 6/4*2 | 6/(4*2) | 6/4/2 | 2-3-4 | 2-(3-4) | 2+3*4 | (2+3)*4 | 8/(3-8/3)
8/(3-8/3)=24 | 8/(3-8/3) = 24 | 1/0 | 1//0 | 0**0 | 0**-1 | 0.**-1 | 1/0. | 0/5 | 0//5 | 10**10 | 10**400 | 10**400/10**399
10.**400 | 10.**308*10 | 10**400*1. | 10**400+.5 | (-8)**(1/3) | (-1)**.5 | ((-4)**(1/2))**2 | (-4)**.5*(-4)**.5 | (-4)**.5//2
((-4)**.5)/0 | 0*(-4)**.5+3 | 2**.5*2**.5 | 2**.5**2 | 9**.5 | 8**(1/3) | 1/3*3 | 1/3+1/3+1/3 | .1+.2 | .1+.2-.3 | 1/3-.333333
1/3-.33333 | 100000000000000000000-99999999999999999998 | 2**64-2**64+5 | 2**100//2**98 | 2**100/2**98 | 2**-100*2**100 | 7**77%7
3×4 | 3·4 | 6÷2 | 5−3 | 3x4 | 3^2 | [1+2] | {1+2} | 1,2 | 1+2;3 | 1+2# | 1_000 | 1e3 | 0x10 | 1j | a | 1 +\t2 | \t1+2 | 1+2\x0c | 1\x0b+2
1+\r2 | (1+\r2) | 1+2\r | \r1+2 | 1\xa0+2 | 1\u20032 | 1+\u0662 | \uff11+2 | 1+2\x1c | ( 1 + 2 ) | (1 +2)* 3 | 1 + + 2 | 1 - - 2 | 1 - -- 2
1+2\\ | 1\\+2 | 1+2' | '1'+2 | (1+2 | 1+2) | ((((1)))) | (((1)+2)*3) | 5*(1-(2-(3-4))) | 2*3+4*5-6/2 | 2*(3+4)*5 | 100*(50+3)-75/25
1--1 | 1---1 | 1----1 | -1--1 | ~1 | !1 | not 1 | 1 and 2 | 1<2 | 1==1 | 1.e | 1.real | 1 .real | (1).real | 1./3*3. | 1./3. | .3/.1
3.3//1.1 | -3.3//1.1 | 1e | 9**9 | 99**9//99**8 | 5//.3 | -5//.3 | 5//-.3 | 6.//.1 | 1.//.1 | 3-3 | 3*0 | 0-3+3 | 12/5*5 | 12//5*5
"""


def written_expressions():
    for line in HAND.strip().split("\n"):
        for text in line.split(" | "):
            yield text.encode().decode("unicode_escape") if "\\" in text and text[-1] != "\\" and "\\+" not in text else text


def drawn_expressions(random, count):
    """Well-formed and slightly broken ones."""

    def part(depth):
        kind = random.random()
        if depth == 0 or kind < 0.3:
            return random.choice(["1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "25", "2.5", ".5", "3."])
        if kind < 0.5:
            return random.choice(["-", "+", "--", "- ", "-+"]) + part(depth - 1)
        if kind < 0.7:
            return "(" + part(depth - 1) + ")"
        gap = random.choice(["", "", " "])
        operator = random.choice(["+", "-", "*", "/", "//", "**", "+", "-", "*", "/"])
        return part(depth - 1) + gap + operator + gap + part(depth - 1)

    while count:
        text = part(4)
        if text.count("**") > 1 or len(text) > 60:
            continue
        if random.random() < 0.15:
            at = random.randrange(len(text))
            text = text[:at] + random.choice(["(", ")", "+", "*", ".", " ", "0", ""]) + text[at + random.randrange(2) :]
        if "**" in text and len(text) > 25:
            continue
        count -= 1
        yield text


def emit(written, numbers, target):
    row = {"written": written, "nums": numbers, "target": target, "exact_match": score(written, numbers, target)}
    print(json.dumps(row))


def main():
    draw = random.Random(0)
    for text in itertools.chain(written_expressions(), drawn_expressions(draw, 500)):
        numbers = [int(run) for run in re.findall(r"\d+", text) if len(run) < 18]
        if not numbers:
            numbers = [1]
        result = value(text)
        try:
            near = round(abs(result) if isinstance(result, complex) else result)
            nearest = near if abs(near) < 2**62 else 1
        except (TypeError, ValueError, OverflowError):
            nearest = 1
        draw.shuffle(numbers)
        emit(f"<answer>{text}</answer>", numbers, nearest)
        if isinstance(result, complex):
            emit(f"<answer>{text}</answer>", numbers, round(result.real))
    # The numbers: each of them, once.
    for text, numbers in [("3+4", [3, 4, 5]), ("3+4", [3]), ("3+3+1", [3, 4]), ("3+4", [4, 3]), ("34", [3, 4]), ("1.5+5.5", [1, 5]), ("1.5+5.5", [1, 5, 5, 5])]:
        emit(f"<answer>{text}</answer>", numbers, 7)
    emit("<answer>34</answer>", [3, 4], 34)
    # The tags.
    for written in [
        "3+4", "<answer>3+4", "3+4</answer>", "<answer>3+4</answer> ", "<answer>3+4</answer>\n", "so\n<answer>3+4</answer>",
        "<answer>3+4</answer>\nso", "<answer>1</answer><answer>3+4</answer>", "<answer>3+4</answer><answer>1</answer>",
        "<answer>1<answer>3+4</answer>", "<answer>\n3+4\n</answer>", "<answer> 3+4 </answer>", "<answer></answer>",
        "<answer>3+4</answer></answer>", "<ANSWER>3+4</ANSWER>", "<answer >3+4</answer>", "<answer>3+4</answer>\r", "",
    ]:
        emit(written, [3, 4], 7)
    # The target, and how near is near enough.
    for text, target in [("7", -7), ("-7", -7), ("7.000009", 7), ("7.00001", 7), ("7.000011", 7), ("6.999991", 7), ("21/3", 7), ("22/3", 7)]:
        emit(f"<answer>{text}</answer>", [int(run) for run in re.findall(r"\d+", text)], target)
    for depth in [50, 100, 150, 199, 200, 201, 250]:
        emit("<answer>" + "(" * depth + "7" + ")" * depth + "</answer>", [7], 7)


main()
