"""Countries, their peoples and cities, and how papers name them as the home of a sample."""

import re

_NAMES = (
    r"germany|france|italy|spain|portugal|brazil|mexico|canada|japan|china|india|australia|sweden"
    r"|norway|denmark|finland|poland|austria|switzerland|belgium|the netherlands|ireland|greece"
    r"|turkey"
    r"|israel|egypt|kenya|nigeria|ghana|south africa|argentina|chile|colombia|peru|south korea"
    r"|korea"
    r"|vietnam|thailand|indonesia|malaysia|singapore|new zealand|russia|ukraine|hungary|romania"
    r"|bulgaria|the united states|the united kingdom|england|scotland|wales|pakistan|bangladesh"
    r"|iran"
    r"|the philippines|taiwan|croatia|serbia|slovenia|estonia|latvia|lithuania|iceland|uganda"
    r"|ethiopia"
)
PEOPLE_OF = {
    "german": "germany", "french": "france", "italian": "italy", "spanish": "spain",
    "portuguese": "portugal", "brazilian": "brazil", "mexican": "mexico", "canadian": "canada",
    "japanese": "japan", "chinese": "china", "indian": "india", "australian": "australia",
    "swedish": "sweden", "norwegian": "norway", "danish": "denmark", "finnish": "finland",
    "polish": "poland", "austrian": "austria", "swiss": "switzerland", "belgian": "belgium",
    "dutch": "the netherlands", "irish": "ireland", "greek": "greece", "turkish": "turkey",
    "american": "the united states", "british": "the united kingdom", "korean": "south korea",
    "kenyan": "kenya", "nigerian": "nigeria", "chilean": "chile", "hungarian": "hungary",
    "russian": "russia", "egyptian": "egypt", "peruvian": "peru", "colombian": "colombia",
    "argentine": "argentina", "argentinian": "argentina", "ghanaian": "ghana",
    "icelandic": "iceland", "scottish": "scotland", "welsh": "wales", "ukrainian": "ukraine",
    "romanian": "romania", "vietnamese": "vietnam", "thai": "thailand", "israeli": "israel",
    "indonesian": "indonesia", "ethiopian": "ethiopia", "ugandan": "uganda",
    "pakistani": "pakistan", "iranian": "iran", "croatian": "croatia", "czech": "czechia",
}  # fmt: skip
CITIES = {
    "paris": "france",
    "parisians": "france",
    "lyon": "france",
    "berlin": "germany",
    "munich": "germany",
    "hamburg": "germany",
    "vienna": "austria",
    "rome": "italy",
    "milan": "italy",
    "madrid": "spain",
    "barcelona": "spain",
    "lisbon": "portugal",
    "london": "the united kingdom",
    "londoners": "the united kingdom",
    "oslo": "norway",
    "manchester": "the united kingdom",
    "dublin": "ireland",
    "stockholm": "sweden",
    "copenhagen": "denmark",
    "helsinki": "finland",
    "warsaw": "poland",
    "budapest": "hungary",
    "prague": "czechia",
    "athens": "greece",
    "istanbul": "turkey",
    "ankara": "turkey",
    "tokyo": "japan",
    "osaka": "japan",
    "kyoto": "japan",
    "beijing": "china",
    "shanghai": "china",
    "seoul": "south korea",
    "delhi": "india",
    "mumbai": "india",
    "cairo": "egypt",
    "nairobi": "kenya",
    "lagos": "nigeria",
    "accra": "ghana",
    "sydney": "australia",
    "melbourne": "australia",
    "toronto": "canada",
    "montreal": "canada",
    "vancouver": "canada",
    "new york": "the united states",
    "chicago": "the united states",
    "boston": "the united states",
    "new yorkers": "the united states",
    "sao paulo": "brazil",
    "rio de janeiro": "brazil",
    "buenos aires": "argentina",
    "mexico city": "mexico",
    "bogota": "colombia",
    "lima": "peru",
    "santiago": "chile",
    "amsterdam": "the netherlands",
    "rotterdam": "the netherlands",
    "brussels": "belgium",
    "zurich": "switzerland",
    "geneva": "switzerland",
    "moscow": "russia",
    "jakarta": "indonesia",
    "bangkok": "thailand",
    "hanoi": "vietnam",
    "manila": "the philippines",
}
CITY = re.compile(
    rf"\b(?:in|from|at|near|around|of|outside) (?:the )?(?:(?:city|suburbs|outskirts|center|centre"
    rf"|schools|hospitals|clinics|streets) (?:of|in) )?({'|'.join(CITIES)})\b(?! (?:inventory"
    rf"|scale|test"
    rf"|index|questionnaire|battery|declaration))"
)
DWELLERS = re.compile(r"\b(parisians|londoners|new yorkers)\b")
PEOPLES = {
    "germans": "germany",
    "italians": "italy",
    "brazilians": "brazil",
    "mexicans": "mexico",
    "canadians": "canada",
    "indians": "india",
    "australians": "australia",
    "swedes": "sweden",
    "norwegians": "norway",
    "danes": "denmark",
    "finns": "finland",
    "poles": "poland",
    "austrians": "austria",
    "belgians": "belgium",
    "greeks": "greece",
    "turks": "turkey",
    "americans": "the united states",
    "britons": "the united kingdom",
    "koreans": "south korea",
    "kenyans": "kenya",
    "nigerians": "nigeria",
    "chileans": "chile",
    "hungarians": "hungary",
    "spaniards": "spain",
    "russians": "russia",
    "egyptians": "egypt",
    "peruvians": "peru",
    "colombians": "colombia",
    "argentines": "argentina",
    "ghanaians": "ghana",
    "dutchmen": "the netherlands",
    "scots": "scotland",
    "icelanders": "iceland",
    "ukrainians": "ukraine",
    "romanians": "romania",
    "vietnamese people": "vietnam",
}
PEOPLE_NAMES = re.compile(rf"\b({'|'.join(PEOPLES)})\b")
PLACE = re.compile(
    rf"\b(?:in|from|across|within|of|inside|around) (?:(?:rural|urban|northern|southern|eastern"
    rf"|western"
    rf"|central|small|large|big|towns?|cities|city|villages?|parts|areas|several|the|north|south"
    rf"|east|west"
    rf"|hospitals?|schools?|clinics?|universities|in|of|and) )*?({_NAMES})\b"
)
NATIONAL = re.compile(
    rf"\b(?:sample|participants?|everyone|everybody|all|they|them|people|volunteers|patients"
    rf"|students|adults)"
    rf" (?:\w+ )?(?:was|were|are|is) (?:\w+ )?({'|'.join(PEOPLE_OF)})\b"
)
NATION = re.compile(
    rf"\b({'|'.join(PEOPLE_OF)}) (?:\w+ )?(?:adults|children|students|patients|people|participants"
    r"|volunteers|sample|schools?|universit\w+|hospitals?|clinics?|families|workers|women|men"
    r"|adolescents|respondents|city|cities|town|towns|villages?|villagers|undergraduates|pupils"
    r"|pensioners|employees|nurses|soldiers|farmers|universities|cohort|population|volunteers"
    r"|pre-?schoolers|teenagers|citizens|clinic|households|couples|mothers|parents|teachers)\b"
)
