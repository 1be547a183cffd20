"""How a question is put to vLLM; it needs no vLLM."""

from PIL import Image

from proguard_core.guards.protocol import Picture
from proguard_core.guards.vllm.engine import turns


def test_what_all_posts_of_a_kind_share_comes_first_and_a_picture_goes_by_its_digest_as_pixels() -> None:
    picture = Picture(Image.new("RGB", (28, 28)), "digest")
    system, user = turns("the policy", "the post", picture)
    assert system == {"role": "system", "content": "the policy"}
    shown, text = user["content"]
    assert shown == {"type": "image_pil", "image_pil": picture.image, "uuid": "digest"}
    assert text == {"type": "text", "text": "the post"}


def test_without_a_picture_or_a_system_prompt_there_is_none() -> None:
    assert turns("", "the post", None) == [{"role": "user", "content": "the post"}]
