"""Answer from a few documents with numbered sources, without a vector store."""

import argparse
import math
import re
from collections import Counter

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

QUESTION = "How long can I return a kettle, and who pays for the parcel?"
INSTRUCTIONS = (
    "Answer from the sources only, and put the number of its source, such as [1], behind each "
    "statement. If they do not hold the answer, say so."
)
TEXTS = {
    "Returns": "Kettles and other kitchen goods can be returned within 30 days of delivery.",
    "Parcels": "We pay for the parcel of a return if the goods are broken. Else the buyer pays.",
    "Warranty": "The warranty of electric goods is two years. It does not cover lime.",
    "Kettle K2": "The kettle K2 holds 1.7 litres and takes 2200 watts.",
    "Opening hours": "The shop is open from Monday to Friday, nine to six.",
}


def words_of(text: str) -> list[str]:
    """Split a text into words without their endings; each Chinese character is a word."""
    words: list[str] = re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower())
    return [word.removesuffix("ed").removesuffix("s") for word in words if len(word) != 2]  # noqa: PLR2004


class WordRetriever(BaseRetriever):
    """Finds documents by BM25, which weighs common words and long documents less."""

    documents: list[Document]
    k: int = 3

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        """Return the best documents that share a word with the query."""
        del run_manager
        counts = [Counter(words_of(document.page_content)) for document in self.documents]
        mean = sum(count.total() for count in counts) / len(counts)
        scores = dict.fromkeys(range(len(counts)), 0.0)
        for word in set(words_of(query)):
            holders = sum(word in count for count in counts)
            rarity = math.log(1 + (len(counts) - holders + 0.5) / (holders + 0.5))
            for i, count in enumerate(counts):
                weight = count[word] + 1.5 * (0.25 + 0.75 * count.total() / mean)
                scores[i] += rarity * count[word] * 2.5 / weight
        best = sorted((i for i in scores if scores[i] > 0), key=lambda i: -scores[i])
        return [self.documents[i] for i in best[: self.k]]


def answer(model: ChatDashScopeDeepSeek, question: str, found: list[Document]) -> None:
    """Print the answer while it streams, then the sources, and mark the ones that it names."""
    sources = "\n".join(f"[{n}] {source.page_content}" for n, source in enumerate(found, 1))
    prompt = [
        SystemMessage(INSTRUCTIONS),
        HumanMessage(f"Sources:\n{sources}\n\nQuestion: {question}"),
    ]
    said = ""
    for chunk in model.stream(prompt):
        print(chunk.text, end="", flush=True)
        said += chunk.text
    named = {int(number) for number in re.findall(r"\[(\d+)\]", said)}
    print("\n\nSources (* named in the answer):")
    for number, source in enumerate(found, 1):
        print(f"{'*' if number in named else ' '} [{number}] {source.metadata['title']}")
    if unknown := named - set(range(1, len(found) + 1)):
        print(f"The answer names unknown sources: {sorted(unknown)}")


def main() -> None:
    """Find the documents for a question, and answer it."""
    parser = argparse.ArgumentParser(prog="rag", description=__doc__)
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    documents = [Document(text, metadata={"title": title}) for title, text in TEXTS.items()]
    found = WordRetriever(documents=documents).invoke(arguments.question)
    if not found:
        print("No document shares a word with the question.")
        return
    with (
        service(script if arguments.question == QUESTION else None) as settings,
        ChatDashScopeDeepSeek(model=arguments.model, **settings) as model,
    ):
        answer(model, arguments.question, found)


def script(emulator: DashScopeEmulator) -> None:
    """Answer the default question as a model would."""
    emulator.reply(
        "You can return it within 30 days of delivery [2]. The shop pays for the parcel if the "
        "kettle is broken, else you do [1].",
        reasoning="The first source is on parcels, the second on returns.",
    )


if __name__ == "__main__":
    main()
