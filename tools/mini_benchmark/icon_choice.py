"""Which icons of one colour the mini benchmark shows: sets of the npm registry, names by class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

# Sheet (by licence): Iconify's sets on it and their versions; packages are @iconify-json/{set}.
ICON_SHEETS = {
    "icons_apache": "mdi@1.2.3 material-symbols@1.2.98 carbon@1.2.29 mingcute@1.2.8 uil@1.2.3 "
    "icon-park-twotone@1.2.4",
    "icons_cc0": "maki@1.2.5 temaki@1.2.6 pinhead@1.2.28",
    "icons_cc_by": "fa6-solid@1.2.4 solar@1.2.13 streamline@1.2.5 streamline-ultimate@1.2.2 "
    "streamline-cyber-color@1.2.2 guidance@1.2.2 pepicons-pop@1.2.4 game-icons@1.2.4",
    "icons_mit": "lucide@1.2.137 ph@1.2.2 tabler@1.2.41 fluent@1.2.60 ion@1.2.7 bi@1.2.7 "
    "majesticons@1.2.5 healthicons@1.2.13 iconoir@1.2.11 hugeicons@1.2.35 tdesign@1.2.19 "
    "clarity@1.2.4 fontisto@1.2.1 bxs@1.2.3 f7@1.2.2 fluent-mdl2@1.2.1 marketeq@1.2.2",
}
ICON_PACKAGES = {p.split("@")[0]: p for each in ICON_SHEETS.values() for p in each.split()}
ICON_SHEET = {p.split("@")[0]: sheet for sheet, each in ICON_SHEETS.items() for p in each.split()}

# An icon's versions end in such words; they are one motif. Two of them are shown, where there are
# two: the first that a set has of FILLED, the first other one of LINED.
VARIANTS = frozenset(
    "outline outlined rounded sharp filled fill bold thin light duotone regular linear broken line "
    "solid 12 15 16 20 24 28 32 48 24px 12px".split()
)
FILLED = (
    "duotone, bold-duotone, solid, filled, fill, bold, 24-filled, , 32, rounded, 20-filled, "
    "48-filled, 32-filled, 28-filled, 16-filled"
).split(", ")
LINED = "24-regular, regular, linear, outline, outline-rounded, line, light, ".split(", ")

# VOC class: what icons of it are called, without the version.
CLASS_ICONS = {
    "aeroplane": "plane(-alt|-up|-sea|-fly|-inflight|-tilt|-private|-cruising|-taxiing|-right|"
    "-departure|-arrival|-takeoff|-landing|-take|-land|-top-right)?|air-?plane(-mode|-in-flight|"
    "-takeoff|-landing|-flight-2)?|airport|flight(-takeoff|-land|-landing|-inflight)?|"
    "jet(-plane-right|-fighter|-plane-front)?|small-plane|propeller-plane|fighter-jet(-plane)?|"
    "travel-airport-(landing|take-off)-.*|travel-transportation-airplane-.*|commercial-airplane",
    "bicycle": "bicycle(-0?[12]|-electric|-basket|-cargo|-penny-farthing)?|bike(-2)?|"
    "(pedal|electric|dutch)-bike|vehicle-bicycle|e-bike-1",
    "bird": "bird(-flying)?|duck|(barn-)?owl|penguin|turkey|crow(-dive)?|(peace-)?dove|kiwi-bird|"
    "(animal-)?chicken|hummingbird|eagle(-head)?|(canadian-)?goose|flamingo|ostrich|"
    "parrot(-head)?|raven|rooster(-fighting)?|seagull|shoebill-stork|sparrow|swan|toucan|vulture|"
    "egyptian-bird|rubber-duck|duck-in-water",
    "boat": "boat(-2|-floating|-tour)?|ship(-cargo)?|ferry(-boat|-jp)?|vehicle-ship|yacht|"
    "sai[tl]-boat|(wood-)?canoe|caravel|cargo-ship(-2)?|drakkar|fishing-boat|galleon|speed-boat|"
    "trireme|sail|directions-boat|sailing-ship|sailing|sailboat|"
    "travel-transportation-sail-ship-.*|motorboat",
    "bottle": "bottle(-soda|-soda-classic|-tonic|-wine|-water|-droplet)?|(baby|beer|brandy|sake|"
    "soda|square|water|wine|milk|spray|detergent|spice|heart|poison|spiral)-bottle|"
    "medicine-bottle-01|water-bottle-1|drink-bottle|ketchup|shampoo|lotion|"
    "food-drinks-wine-bottle-.*|baby-milk-bottle",
    "bus": "bus(-0?[1-3]|-front|-simple|-side|-school|-alt|-double-decker|-electric|"
    "-articulated-front|-with-destination-display|-guided|-with-pantograph)?|school-bus|"
    "vehicle-bus|directions-bus|travel-transportation-bus-.*",
    "car": "car(-0?[1-5]|-front|-side|-sport|-sports|-rear|-back|-hatchback|-estate|-convertible|"
    "-limousine|-pickup|-electric|-profile|-simple|-suv|-sideview)?|taxi(-0?[12]|-front)?|"
    "automobile|(police|race|city|f1|electric)-car(-1)?|jeep|vehicle-(cab|car|car-profile)|"
    "directions-car|local-taxi|car-taxi-front|travel-transportation-car-.*|sedan|station-wagon",
    "cat": "cat(-[12]|-sitting)?|animal-cat|feline|hollow-cat|nature-ecology-cat-head-.*",
    "chair": "chair(-0?[1-5]|-alt|-rolling|-school|-barber|-director|-counter)?|"
    "(office|high|rocking|wooden|bar|camping|director)-chair|seat|(bar-|folding-)?stool(-2)?|"
    "event-seat|throne-king|stone-throne",
    "cow": "(animal-)?cow|bull|bison|buffalo-head|cattle",
    "diningtable": "dining-table|restaurant(-0?[123])?|table-(furniture|restaurant|chair|bar|"
    "with-chairs|picnic)|silverware(-fork-knife|-variant)?|cutlery|kni(f|v)e-fork|picnic-table|"
    "food-kitchenware-(spoon-plate-fork-plate|fork-spoon)-.*|utensils|flatware|local-dining|"
    "fork-(knife|spoon|beside-knife|crossing-knife|knife-spoon)|spoon-and-fork",
    "dog": "dog(-1|-side|-service|-sitting|-sitting-wearing-collar|-wearing-collar|"
    "-wearing-harness)?|animal-dog|guide-dog|basset-hound-head|hound|sitting-dog|"
    "nature-ecology-dog-head-.*",
    "horse": "horse(-variant|-variant-fast|-head|-saddle|-toy|-high-stepping|-running|"
    "-head-wearing-bridle|-spring-rider)?|(rocking|toy|trojan)-horse",
    "motorbike": "motorcycle|motorbike(-0?[12]|-electric)?|moped(-front|-electric|-package)?|"
    "electric-moped|two-wheeler|vehicle-motorcycle|vespa-motorcycle|motor-scooter|"
    "(basic|cross-country)-motorcycle",
    "person": "person(-[234]|-standing|-standing-dress|-dress|-half-dress|-walking|-running|"
    "-raised-hand|-arms-up|-simple|-simple-walk|-simple-run|-arms-spread)?|man(-[234])?|"
    "woman(-2)?|walk|user(-[12]|-round|-full-view)?|child(-dress)?|boy|girl|pedestrian|body|"
    "human(-male|-female|-child|-greeting|-handsup|-handsdown|-female-dance)?|directions-walk|"
    "old(-man|-woman)?|elderly(-woman)?|emoji-people|(overweight|broadshouldered)-person-standing",
    "pottedplant": "potted-(plant|flower)|flower-?pot|plant-(02|pot)|bonsai-tree|cactus-pot|"
    "nature-ecology-potted-.*|plant-in-raised-planter",
    "sheep": "sheep|ram-profile",
    "sofa": "sofa(-0[123]|-[23])?|couch|two-seater-sofa|weekend|shopping-catergories-sofa-.*",
    "train": "(train|subway|tram|metro)(-0?[1-4]|-front|-simple|-regional|-profile|-speed|-side|"
    "-variant|-subway|-tram|-lightrail-front|-freight-front|-bullet|-diesel|-steam|-kids|"
    "-car-passenger)?|directions-(subway|railway)|speed-train-0[12]|steam-locomotive|"
    "(steam|bullet|diesel|kids|subway)-train|(light|hanging|heavy)-rail|monorail|rail(-metro)?|"
    "vehicle-subway|railroad-metro|high-speed-train-front|railway|tram-on-tram-track",
    "tvmonitor": "tv(-0?[12]|-stand|-stand-2|-smart|-minimal|-retro|-old|-gen)?|"
    "television(-classic|-simple)?|monitor(-small)?|desktop(-1|-classic|-mac|-windows|-alt)?|"
    "device-(desktop|tv|tv-old|imac)|imac|modern-tv(-4-k|-curvy-edge)?|screen(-curved)?|"
    "vintage-tv-1|desktop-computer-1|t-v-monitor|analog-tv-with-rabbitears|live-tv|connected-tv|"
    "display|code-monitor-1|computer-imac-smiley-face",
}
# These show something else, several, a rider too, or what another set of the choice shows.
EXCLUDED_ICONS = frozenset(
    """mdi:airport hugeicons:airport temaki:airport solar:plane streamline:airplane
    streamline-ultimate:airplane-mode mdi:bike lucide:bike tabler:bike hugeicons:bike ion:bicycle
    mingcute:chicken icon-park-twotone:chicken icon-park-twotone:turkey tdesign:chicken
    game-icons:sail game-icons:wine-bottle tabler:baby-bottle marketeq:water-bottle
    game-icons:bull maki:taxi material-symbols:chair mdi:seat-passenger icon-park-twotone:seat
    mingcute:body solar:body guidance:user-1 hugeicons:restaurant healthicons:elderly
    material-symbols:metro game-icons:railway tdesign:subway
    icon-park-twotone:display icon-park-twotone:monitor streamline-ultimate:monitor
    mingcute:sofa hugeicons:sofa-01
    icon-park-twotone:bike icon-park-twotone:chair icon-park-twotone:rocking-horse
    icon-park-twotone:sofa icon-park-twotone:sofa-two icon-park-twotone:train
    streamline-ultimate:office-chair streamline-ultimate:bus-1 streamline:chair
    streamline-ultimate:vintage-tv-4 streamline:cat-2""".split()
)


def icon_motif(code: str) -> str:
    """``ph:car-fill`` -> ``ph:car``: what the versions of an icon have in common."""
    words = code.split("-")
    while len(words) > 1 and words[-1] in VARIANTS:
        words.pop()
    return "-".join(words)


def class_of(code: str) -> str | None:
    """VOC's class that an icon, ``ph:car-fill`` for example, shows; None for others."""
    name = icon_motif(code)
    if name in EXCLUDED_ICONS:
        return None
    matches = (c for c, names in CLASS_ICONS.items() if re.fullmatch(names, name.split(":")[1]))
    return next(matches, None)


def chosen_icons(codes: Iterable[str]) -> dict[str, str]:
    """Of all icons of a set those that are shown: code -> class."""
    motifs: dict[str, list[str]] = defaultdict(list)
    for code in codes:
        motifs[icon_motif(code)].append(code)
    chosen: dict[str, str] = {}
    for name, versions in motifs.items():
        if shown := class_of(name):
            for styles in (FILLED, LINED):
                named = (f"{name}-{style}".rstrip("-") for style in styles)
                found = [code for code in named if code in versions and code not in chosen]
                chosen |= dict.fromkeys(found[:1], shown)
    return chosen
