"""Writes answers.jsonl: how lm-evaluation-harness marks answers of gsm8k and math (minerva_math).

A row has a task, the record's answer or solution, what was written, and the harness's marks. Of math, a row with
`right` says what is right where the harness, which searches for braces and does not match them, may be less so.

    pip install lm-eval math-verify sympy antlr4-python3-runtime==4.11
    python answers.py > answers.jsonl
"""

import itertools
import json
import random

from harness import task
from lm_eval.tasks.minerva_math import utils as minerva

NUMBERS = ["18", "1,234", "-7", "$18", "18.50", "0", "007", "5.", "1,000,000", ".5", "-", "$", "..", "3.", "-3.5", "1-2", "2/3", "５", "12,", "$1,2.3"]
GSM8K = [
    "#### {0}", "so\n#### {0}", "#### {0}\n#### 9", "#### {0} apples", "####{0}", "## {0}", "#### ${0}", "####  {0}", "The answer is {0}.", "{0}", "{0} and 9",
    "9, {0}", "${0}", "{0}%", "#### none, #### {0}", "#### {0}.", "#### {0}.\n", "({0})", "{0} ...", "x{0}y", "#### {0}\n\nQuestion: 9?", "-{0}", "− {0}", "{0}\n",
]
# Gold answers and answers, each of which is tried with each other of its line.
MATH = r"""
5 | 5.0 | 5.00 | +5 | 5. | 05 | five | 5 cm | 5\text{ cm} | 5\text{ m} | 5\text{ m}^2 | \$5 | 5\% | 5\mathrm{ cm} | x=5 | 5\, | \text{5} | \textbf{5} | \boxed{5}
\frac{1}{2} | \frac12 | \dfrac{1}{2} | \tfrac12 | 1/2 | 0.5 | .5 | \frac{2}{4} | 2^{-1} | \frac{1}2 | \frac{1}{-2} | -\frac{1}{2} | \frac{-1}{2} | -0.5
\sqrt{2} | \sqrt2 | \sqrt 2 | 2^{1/2} | 2^{\frac12} | 1.41421356 | \frac{2}{\sqrt{2}} | \sqrt[2]{2} | \sqrt[3]{8} | \sqrt[3]8 | 2 | \sqrt{4}
x+1 | 1+x | \frac{x^2-1}{x-1} | (x+1) | x + 1 | y+1 | x-1 | -(−x-1) | -(-x-1) | 1x+1 | x^1+1 | x^{1}+1
8\sqrt{2} + 8 | 8+8\sqrt{2} | 8(1+\sqrt{2}) | 8(\sqrt2+1) | \sqrt{128}+8 | 8\sqrt2+8.0
(1,2) | (1, 2) | (2,1) | \left(1,2\right) | [1,2] | 1,2 | 2,1 | \{1,2\} | \{2,1\} | 1 | 1,3 | 1 \text{ and } 2 | 1 \text{ or } 2
12,000 | 12000 | 12{,}000 | 12\,000 | 12\!,\!000 | 12.000 | 1,2000 | -12,000 | -12000 | 0,12
\pi | 2\pi | \pi 2 | 3.14159 | \frac{\pi}{2} | \pi/2 | \frac{1}{2}\pi | 0.5\pi | \pi r^2 | r^2\pi | \pi\cdot r^2
90^\circ | 90 | 90^{\circ} | 90 degrees | 90\text{ degrees} | \frac{\pi}{2} | 89
\text{even} | even | \text{Even} | \textbf{even} | neve | odd | \text{ even } | \mbox{even}
\text{(B)} | (B) | B | \mathrm{B} | \textbf{(B)} | (b) | \text{B} | \mathbf{(B)}
x<5 | 5>x | x < 5 | x\le5 | x \leq 5 | x \le 5 | 5 | (-\infty,5) | (-\infty, 5)
[2,5) | [2, 5) | (2,5) | [2,5] | \left[2,5\right) | 2 \le x < 5 | [2,\infty) | [2, \infty)
3+4i | 4i+3 | 3-4i | 3 + 4 i | i(4-3i) | 3+4j
2^{10} | 2^10 | 1024 | 2^{1}0 | 4^5 | 2^{5}\cdot2^5 | 1{,}024
5! | 120 | \binom{10}{3} | \dbinom{10}{3} | {10\choose 3} | 5\cdot4! | 4!5
1010_2 | 1010_{2} | 10 | 1010 | 1010_{10} | 12_5 | 12_{5}
x_1 | x_{1} | x1 | x_2 | x_{12} | x_1' | x' | x_1^2 | x^2_1
\log_2 8 | 3 | \log_{2}8 | \log 8 | \ln 8 | \frac{\ln 8}{\ln 2} | \log_{2}(8) | \log_2(8)
\sin x | \sin(x) | \sin{x} | \cos(x) | \sin^2 x + \cos^2(x) | 1 | \sin^2(x)+\cos^2(x) | \sin^{2}(x) + \cos^{2}(x) | \sin(x)^2+\cos(x)^2
|x| | |-x| | \left|x\right| | -|x| | |x|^2 | x^2 | |-5| | 5 | \lfloor 5.5 \rfloor | \lceil 4.2 \rceil
f(x) | f(y) | f(x)+1 | g(x) | x(x+1) | x^2+x | x \cdot (x+1) | (x+1)x | (x)(x+1) | xf
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix}1\\2\end{pmatrix} | \begin{pmatrix} 2 \\ 1 \end{pmatrix} | \begin{bmatrix} 1 \\ 2 \end{bmatrix} | \begin{matrix}1&2\\3&4\end{matrix}
\infty | -\infty | +\infty | \infty+1 | infinity | 1/0 | \frac{1}{0} | 0/0 | undefined
y = 2x+3 | 2x+3 | y=2x + 3 | 3+2x | y = 3 + 2 x | 2x-3 | f(x)=2x+3 | y-3=2x
0.1 | \frac{1}{10} | 10^{-1} | 0.10 | 1/10 | .1 | 0.1000000001 | 0.11
100000000000000000000 | 100000000000000000001 | 10^{20} | 1e20 | 100,000,000,000,000,000,000
1\frac{1}{2} | \frac{3}{2} | 1.5 | 1\frac12 | 1 \frac{1}{2} | 3/2 | 1 1/2
3:4 | 3/4 | 0.75 | 3 : 4 | 3\div 4 | 75\% | 3 to 4
2x3 | 6 | 2\times3 | 2 \cdot 3 | 2*3 | 2(3) | (2)(3) | 2x^3 | 2 \times 3x | 6x
dx | d x | xd | 2d | d2 | d \cdot 2 | d | \mathrm{d}x
5- | 5) | 5} | 5+ | (5 | 5 @ | 5é | 5; | 5, | 5 | {5} | {{5}} | [5] | \{5\} | 5^ | 5_ | \frac{5}{1 | \frac{5}
ab | ba | a b | a\cdot b | \overline{ab} | \overline{AB} | AB | a^2b | a^{2}b | ba^2 | aab
10 dollars | 10 | \$10 | \$10.00 | 10\text{ dollars} | ten dollars | \text{\$}10 | 10 cents | 10 square feet | 10 ft | 10\text{ ft}^2 | 10 hours | 10 an hour
a | A | \alpha | alpha | \text{a} | a | an | \mathbf{a}
0 | -0 | 0.0 | 00 | \text{none} | zero | {0} | 0\% | 0^\circ
\frac{\sqrt{3}}{3} | \frac{1}{\sqrt{3}} | \frac{\sqrt3}3 | \sqrt{\frac{1}{3}} | \sqrt{\frac13} | 3^{-\frac{1}{2}} | \tan 30^\circ | 0.577
-\frac{2}{3} | \frac{-2}{3} | \frac{2}{-3} | -2/3 | -0.667 | -0.6666666666 | -\frac23 | - \frac{2}{3} | \frac{2}{3}
\frac{a+b}{c} | \frac{a}{c}+\frac{b}{c} | (a+b)/c | a+b/c | \frac{b+a}{c} | \frac{a + b}{c}
x^2+2x+1 | (x+1)^2 | (1+x)^2 | (x+1)(x+1) | x^{2} + 2x + 1 | (x+1)^{2} | x^2+2x-1 | {(x+1)}^2 | \left(x+1\right)^2
e^{i\pi} | -1 | e^{\pi i} | \exp(i\pi) | e | 2.718281828 | e^1 | \exp 1 | \ln e | 1
-a | --a | +a | a- | -(a) | -1a | a(-1) | a\cdot-1 | 0-a
\tan^{-1} 1 | \arctan 1 | \arctan(1) | \frac{\pi}{4} | \tan^{-1}(1) | \cot^{-1}(1)
\alpha+\beta | \beta+\alpha | \alpha + \beta | \alpha-\beta | \theta | \Theta | \theta_1 | \theta_{1}
2 \text{ and } 3 | 2,3 | 2, 3 | 2 and 3 | \text{2 and 3} | 3,2
\text{a and b} | \text{a}\text{ and }\text{b} | ab | a,b
99\% | 99 | 0.99 | 99 percent | 99 \%
5\sqrt{3}\text{ cm}^2 | 5\sqrt{3} | 5 \sqrt{3} cm^2 | \sqrt{75} | 5\sqrt3 | 5\sqrt{3}\mbox{ inches}
"""
SENTENCES = [
    "Final Answer: The final answer is {0}. I hope it is correct.", "so. Final Answer: The final answer is ${0}$. I hope it is correct.\n\nProblem: 9",
    "Final Answer: The final answer is {0}", "Final Answer: The final answer is {0}. ", "Final Answer: The final answer is {0}. I hope", "The final answer is {0}. I hope it is correct.",
    "Final Answer: The final answer is\n{0}. I hope it is correct.", "Final Answer: The final answer is {0}! I hope it is correct!", "Final Answer: The final answer is {0} I hope it is correct.",
    "Final Answer: The final answer is{0}. I hope it is correct. Final Answer: The final answer is 9. I hope it is correct.", "Final Answer: The final answer is 9\nFinal Answer: The final answer is {0}. I hope it is correct.",
    "Final Answer: The final answer is $x = {0}$. I hope it is correct.", "Final Answer: The final answer is ${0}$ apples. I hope it is correct.", "$\\boxed{{{0}}}$", "final answer: the final answer is {0}. i hope it is correct.",
    "Final Answer: The final answer is . I hope it is correct.", "Final Answer: The final answer is $\\boxed{{{0}}}$. I hope it is correct.", "Final Answer: The final answer is {0}.\tI hope it is correct.", "",
]
# Boxes and braces, where the harness may be less right: gold, answer.
BOXES = [
    (r"\frac{1}{2}", r"$\boxed{\frac{1}{2}}$"), (r"8\sqrt{2} + 8", r"$\boxed{8\sqrt{2} + 8}$"), (r"-\frac{2}{3}", r"\boxed{-\frac{2}{3}}"), ("7", r"$\boxed{7}$"), ("7", r"\fbox{7}"),
    ("7", r"\boxed{\boxed{7}}"), ("7", r"\boxed{x = 7}"), ("7", r"\boxed{7}+\boxed{0}"), (r"\frac{\pi}{2}", r"\frac\pi2"), (r"\frac{1}{2}", r"\frac1{2}"), ("7", r"\boxed 7"),
    (r"\{1,2\}", r"\boxed{\{1,2\}}"), ("a_{1}b", r"\text{a_{1}b}"), (r"\text{(B)}", r"\boxed{\text{(B)}}"), (r"\sqrt{x_{1}}", r"\boxed{\sqrt{x_{1}}}"), ("8", r"\boxed{7}"),
]



def gsm8k():
    draw = random.Random(0)
    for sentence, number in itertools.product(GSM8K, NUMBERS):
        if draw.random() < 0.5 and number not in ("18", "1,234"):
            continue
        gold = draw.choice(["work\n#### {0}", "#### {0}", "#### 9\n#### {0}.", "{0}", "#### {0}\n"]).format(number.replace("$", ""))
        written = sentence.format(number)
        made, document = task("gsm8k", {"question": "q", "answer": gold})
        cut = written
        for stop in made.config.generation_kwargs["until"]:
            cut = cut.split(stop)[0]
        marks = {}
        for ensemble in made._filters:
            resps = [[cut]]
            for make in ensemble.filters:
                resps = make().apply(resps, [document])
            marks[ensemble.name.replace("-", "_")] = float(made.process_results(document, list(resps))["exact_match"])
        print(json.dumps({"task": "gsm8k", "gold": gold, "written": written, "marks": marks}))


def math_row(gold, written):
    solution = f"So $\\boxed{{{gold}}}$."
    document = {"solution": solution, "answer": minerva.normalize_final_answer(minerva.remove_boxed(minerva.last_boxed_only_string(solution)))}
    marks = minerva.process_results(document, [written.split("Problem:")[0]])
    return {"task": "math", "gold": gold, "written": written, "marks": {name: float(value) for name, value in marks.items()}}


def math():
    draw = random.Random(0)
    for line in MATH.strip().split("\n"):
        answers = line.split(" | ")
        pairs = [(answers[0], answer) for answer in answers] + [(answer, answers[0]) for answer in answers[1:]]
        pairs += [tuple(draw.sample(answers, 2)) for _ in range(len(answers) // 2)]
        for gold, answer in pairs:
            if gold.count("{") != gold.count("}"):
                continue
            dollars = draw.choice(["{0}", "${0}$"])
            print(json.dumps(math_row(gold, f"Final Answer: The final answer is {dollars.format(answer)}. I hope it is correct.")))
    for sentence, gold in itertools.product(SENTENCES, ["7", r"\frac{1}{2}"]):
        print(json.dumps(math_row(gold, sentence.format(gold))))
    for gold, answer in BOXES:
        row = math_row(gold, f"Final Answer: The final answer is {answer}. I hope it is correct.")
        row["right"] = float(gold != "8")
        print(json.dumps(row))


gsm8k()
math()
