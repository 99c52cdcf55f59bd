"""Which drawings the mini benchmark shows: sets of the npm registry, classes, other emoji."""

from __future__ import annotations

import re

# Sets whose files are named by code point, by style: (npm package, file in it).
EMOJI_SETS = {
    "noto": ("emoji-datasource-google@16.0.0", "package/img/google/64/{}.png"),
    "blob": ("emoji-datasource-google@3.0.0", "package/img/google/64/{}.png"),
    "twemoji": ("emoji-datasource-twitter@16.0.0", "package/img/twitter/64/{}.png"),
    "fluent": ("@lobehub/fluent-emoji-3d@1.1.0", "package/assets/{}.webp"),
    "fluent_flat": ("@lobehub/fluent-emoji-flat@1.1.0", "package/assets/{}.svg"),
    "emojione": ("emojione@2.2.7", "package/assets/png_128x128/{}.png"),
}
# Sets whose icons have names, by prefix in CLASS_DRAWINGS ("color:bus"): (style, npm package).
ICON_SETS = {
    "fxemoji": ("fxemoji", "@iconify-json/fxemoji@1.2.2"),
    "emojis": ("streamline", "@iconify-json/streamline-emojis@1.2.4"),
    "color": ("streamline", "@iconify-json/streamline-color@1.2.2"),
    "plump": ("streamline", "@iconify-json/streamline-plump-color@1.2.2"),
    "flex": ("streamline", "@iconify-json/streamline-flex-color@1.2.2"),
    "ultimate": ("streamline", "@iconify-json/streamline-ultimate-color@1.2.2"),
}
# The icon sets whose icons are emoji, by Unicode's names.
NAMED_EMOJI = ("fxemoji", "emojis")

# What a set calls so but draws otherwise (a flag, a computer's case), or with its surroundings.
EXCLUDED = {
    ("fxemoji", "1f426"),
    ("fxemoji", "1f5a5-fe0f"),
    ("fxemoji", "1f3a0"),
    ("streamline", "1f3a0"),
    ("streamline", "1f6a2"),
    ("streamline", "1f983"),
}

# VOC class: its drawings' code points or icons, each with the further word that captions may use.
CLASS_DRAWINGS = {
    "aeroplane": "2708-fe0f airliner, 1f6e9-fe0f small airplane, color:airport-plane, "
    "plump:airplane-enabled",
    "bicycle": "1f6b2, color:bicycle-bike, plump:bicycle-bike-flat, flex:bicycle-bike",
    "bird": "1f426, 1f985 eagle, 1f986 duck, 1f989 owl, 1f99c parrot, 1f9a2 swan, 1f54a-fe0f dove, "
    "1f427 penguin, 1f413 rooster, 1f414 chicken, 1f424 chick, 1f425 baby chick, "
    "1f99a peacock, 1f9a4 dodo, 1f9a9 flamingo, 1f983 turkey, 1fabf goose, "
    "1f426-200d-2b1b black bird, emojis:bird-2",
    "boat": "26f5 sailboat, 1f6a4 speedboat, 1f6e5-fe0f motor boat, 26f4-fe0f ferry, 1f6a2 ship, "
    "1f6f6 canoe, plump:sail-ship sailboat",
    "bottle": "1f37e champagne bottle, 1f37c baby bottle, 1f9f4 lotion bottle, 1f376 sake bottle, "
    "ultimate:soft-drinks-bottle-1, ultimate:water-bottle-glass",
    "bus": "1f68c, 1f68d oncoming bus, 1f68e trolleybus, 1f690 minibus, plump:bus, "
    "color:school-bus-side, ultimate:bus-1",
    "car": "1f697 automobile, 1f698 oncoming car, 1f695 taxi, 1f696 oncoming taxi, "
    "1f699 blue car, 1f3ce-fe0f racing car, 1f693 police car, 1f694 oncoming police car, "
    "fxemoji:racecar racing car, flex:car-taxi-1 taxi, ultimate:car-4, ultimate:car-retro",
    "cat": "1f408, 1f431 cat face, 1f408-200d-2b1b black cat, fxemoji:catside, flex:cat-2 cat face",
    "chair": "1fa91 wooden chair, 1f4ba seat, color:chair-flat, ultimate:office-chair",
    "cow": "1f404, 1f42e cow face, 1f402 ox, 1f403 water buffalo",
    "diningtable": "1f37d-fe0f set table, 1f374 set table, fxemoji:forkknife set table",
    "dog": "1f415, 1f436 dog face, 1f429 poodle, 1f9ae guide dog, 1f415-200d-1f9ba service dog, "
    "fxemoji:dogside, plump:dog-1 dog face, flex:dog-1 dog face",
    "horse": "1f40e, 1f434 horse face, 1f3a0 carousel horse",
    "motorbike": "1f3cd-fe0f racing motorcycle, 1f6f5 scooter, ultimate:scooter scooter, "
    "ultimate:scooter-3 scooter, color:transfer-motorcycle scooter",
    "person": "1f9cd standing person, 1f9cd-200d-2640-fe0f standing woman, 1f6b6 walking person, "
    "1f6b6-200d-2642-fe0f walking man, 1f468 man, 1f469 woman, 1f466 boy, 1f467 girl, "
    "1f9d1, 1f474 old man, 1f475 old woman, 1f57a dancing man, 1f483 dancing woman, "
    "1f3c3 running person, fxemoji:gpa old man, fxemoji:gma old woman, emojis:old-man-1 old man, "
    "emojis:old-woman-1 old woman, emojis:woman-dancing-1 dancing woman, "
    "plump:user-single-neutral-male",
    "pottedplant": "1fab4 plant in a pot, 1f38d bamboo in a pot, plump:potted-flower flower in a "
    "pot",
    "sheep": "1f411 ewe, 1f40f ram, emojis:ewe-1 ewe",
    "sofa": "1f6cb-fe0f couch, plump:sofa, flex:sofa",
    "train": "1f682 locomotive, 1f684 high speed train, 1f685 bullet train, 1f686, 1f687 metro, "
    "1f688 light rail, 1f68a tram, 1f69d monorail, 1f68b tram car, 1f683 railway car, "
    "fxemoji:highspeedtrainbulletnose bullet train, emojis:locomotive locomotive, "
    "emojis:bullet-train bullet train, plump:high-speed-train-side high speed train",
    "tvmonitor": "1f4fa television, 1f5a5-fe0f computer screen, fxemoji:personalcomputer "
    "computer screen, color:screen-curve, ultimate:vintage-tv-4 television, "
    "ultimate:desktop-monitor-smiley computer screen",
}
SKIN_TONES = ("1f3fb", "1f3fd", "1f3ff")
# What a caption may call any drawing of the class, where that is not its name alone. The first is
# the word used at test.
CLASS_WORDS = {
    "aeroplane": "aeroplane, airplane, plane",
    "bicycle": "bicycle, bike",
    "diningtable": "dining table, diningtable, table",
    "motorbike": "motorbike, motorcycle",
    "pottedplant": "potted plant, pottedplant, houseplant",
    "sofa": "sofa, couch",
    "tvmonitor": "tv monitor, tvmonitor, tv, monitor",
}

DISTRACTOR_CATEGORIES = "Animals & Nature, Food & Drink, Activities, Objects, Travel & Places"
EXCLUDED_SUBCATEGORIES = (
    "time, place-map, sky & weather, hotel, lock, book-paper, money, mail, award-medal, "
    "place-geographic, cat-face, animal-bird"
)
# A distractor that shows, or is called by, one of the classes would be a wrong negative.
EXCLUDED_WORDS = frozenset(
    "car bus train tram railway metro station monorail airplane plane aircraft bike bicycle boat "
    "bird chick chicken penguin cat dog horse cow sheep ram ox buffalo man woman person people "
    "chair seat wheelchair couch bed bottle plant potted tv screen monitor desktop computer laptop "
    "fork knife plate table feather nest canoe ship wine saké sake motor scooter lorry racing "
    "wing goat paw minibus police taxi barber busstop pine bamboo tanabata seedling herb "
    "anchor statue jar toilet elevator door window mirror placard".split()
)


def letters(name: str) -> str:
    """A name without case and punctuation, and without the number of a variant."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"-\d$", "", name.lower()))


def chosen_drawings(emoji: list[dict]) -> list[dict]:
    """Code, name, class and extra words of everything to be cut.

    Args:
        emoji: entries of emoji-datasource's ``emoji.json``.
    """
    chosen = []
    for name, drawings in CLASS_DRAWINGS.items():
        for drawing in drawings.split(", "):
            code, _, word = drawing.partition(" ")
            codes = [code]
            if name == "person" and ":" not in code:
                base, *rest = code.split("-")
                codes += ["-".join([base, tone, *rest]) for tone in SKIN_TONES]
            words = [word] if word else []
            chosen += [dict(code=c, name=name, is_class=True, words=words) for c in codes]
    taken = {entry["code"] for entry in chosen}
    for entry in emoji:
        code = entry["unified"].lower()
        name = entry["short_name"].replace("_", " ").replace("-", " ").rstrip("0123456789").strip()
        tokens = set(name.split()) | set(entry["name"].lower().replace("-", " ").split())
        if (
            entry["category"] in DISTRACTOR_CATEGORIES.split(", ")
            and entry["subcategory"] not in EXCLUDED_SUBCATEGORIES.split(", ")
            and code not in taken
            and not tokens & EXCLUDED_WORDS
        ):
            chosen.append(dict(code=code, name=name, is_class=False, words=[]))
    return chosen
