"""Names for the invented town's streets."""

NAMES = """
Acorn Street,Alder Lane,Almond Street,Anchor Street,Apple Row,Arch Lane,Ash Grove,Baker Street,
Barley Street,Basket Lane,Bay Street,Beech Avenue,Bell Lane,Birch Street,Blossom Street,
Boatman's Row,Bramble Lane,Broom Street,Burnet Lane,Butcher's Row,Candle Street,Carter's Lane,
Castle View,Cedar Street,Cherry Street,Church Lane,Clay Street,Clover Lane,Cobbler's Row,
College Street,Cooper Street,Copper Lane,Corn Street,Cottage Lane,Cross Street,Crown Street,
Cutler Street,Dairy Lane,Damson Street,Dove Street,Dyer's Lane,East Street,Elder Street,Elm Row,
Falcon Street,Farrier Street,Fennel Lane,Fern Street,Fiddler's Lane,Field Street,Fig Lane,
Fir Street,Fisher Street,Flax Street,Forge Lane,Foundry Street,Fountain Street,Fox Lane,
Garden Street,Garnet Street,Gate Street,Ginger Lane,Glover Street,Grange Road,Green Lane,
Guild Street,Hare Street,Harvest Lane,Hawthorn Street,Hay Lane,Hazel Street,Heather Street,
Heron Street,Hill Street,Holly Lane,Honey Lane,Hop Street,Iris Street,Ivy Lane,Jasmine Street,
Juniper Street,Kestrel Lane,King's Lane,Kiln Street,Lantern Street,Larch Road,Lark Street,
Laurel Street,Lavender Lane,Lemon Street,Library Street,Lilac Street,Lime Street,Linen Lane,
Locksmith Lane,Loom Street,Magpie Lane,Maple Street,Market Street,Mason Street,Meadow Lane,
Mercer Street,Mint Street,Moss Lane,Mulberry Street,Museum Street,Myrtle Street,Needle Lane,
New Street,North Street,Nutmeg Lane,Oak Street,Olive Street,Orchid Lane,Osier Lane,Otter Street,
Oven Lane,Owl Street,Paper Street,Peach Street,Pear Lane,Pepper Street,Pilgrim Street,Pine Street,
Plum Street,Poplar Road,Poppy Lane,Potter Street,Primrose Lane,Quarry Road,Quince Street,
Raven Street,Reed Lane,Robin Lane,Rope Walk,Rosemary Lane,Rowan Street,Rye Street,Saddler Street,
Saffron Street,Sage Lane,Salt Street,School Lane,Shepherd Street,Silver Street,Smith Street,
Sorrel Lane,South Street,Spinner Street,Spruce Street,Star Street,Stone Lane,Swan Street,
Tanner Street,Tailor's Row,Thistle Lane,Thyme Street,Tower Street,Turner Street,Vale Road,
Vine Street,Walnut Street,Weaver Street,Well Lane,West Street,Wheat Street,Willow Street,
Wool Street,Wren Lane,Yarrow Street,Yew Lane
"""
