"""The words that short codes are made of: 256, so that each is worth 8 bits. Pure.

No two differ in fewer than two letters, or begin with the same four. The list is part of the format: a word that is
changed makes other programs' codes unreadable. docs/spec/enrolment.md.
"""

from typing import Final

_WORDS: Final = """
acorn almond amber anchor apple apron artist aspen atlas autumn avenue badger bagpipe bakery balcony bamboo banjo
barley basket beacon beaver bicycle biscuit blossom bonfire border bottle bramble branch bridge bronze buffalo
butter cabin cactus camera candle canyon captain caravan carpet cashew cedar chapel cheese cherry chimney circus
clover cobalt coconut coffee comet compass copper cotton cousin cricket crystal cushion daisy dancer dentist desert
diamond dolphin donkey dragon drummer eagle eclipse elbow emerald engine evening fabric falcon farmer feather fiddle
finger fjord flannel forest fossil furnace galaxy garden garlic gentle giraffe glacier goblet granite gravel guitar
hammer harbour harvest hazel helmet heron hickory honey horizon iceberg igloo indigo island ivory jacket jaguar
jasmine jelly jersey jigsaw jungle juniper kernel kettle kitchen koala ladder lagoon lantern laundry lavender lemon
leopard library linen lizard lobster locket lullaby lumber magnet mango maple meadow melody mermaid mirror mitten
mosaic muffin museum mustard napkin narrow nectar needle nephew nickel nutmeg oasis oatmeal ocean octagon octopus
olive onion orange orchard ostrich otter paddle pancake panther parrot peanut pebble pelican pencil pepper piano
picnic pigeon pillow pirate plaster plum polar popcorn porridge postman potato prairie pretzel pumpkin puzzle
quarter quiet rabbit radish rainbow raven rhubarb ribbon robin saffron sailor salmon sandal scarlet scooter shadow
silver skeleton snowman sorbet spider sponge squirrel stable station sunset swallow teapot thimble thunder tiger
tomato tractor trumpet tulip tundra tunnel turtle umbrella uncle unicorn upward urchin valley vanilla velvet village
vinegar violet volcano voyage waffle wagon walnut water whale whistle window wombat yellow yodel yogurt zebra zephyr
zigzag
"""
WORDS: Final = tuple(_WORDS.split())
