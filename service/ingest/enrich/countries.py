"""Names of countries and continents in English, for databases that hold a country's code alone."""

from __future__ import annotations

CONTINENTS = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}

# Continent: ISO 3166-1 code and name, and so on.
_LIST = """
AF: DZ Algeria; AO Angola; BJ Benin; BW Botswana; BF Burkina Faso; BI Burundi; CM Cameroon; CV Cabo Verde;
AF: CF Central African Republic; TD Chad; KM Comoros; CD DR Congo; CG Congo Republic; CI Ivory Coast; DJ Djibouti;
AF: EG Egypt; GQ Equatorial Guinea; ER Eritrea; SZ Eswatini; ET Ethiopia; GA Gabon; GM Gambia; GH Ghana; GN Guinea;
AF: GW Guinea-Bissau; KE Kenya; LS Lesotho; LR Liberia; LY Libya; MG Madagascar; MW Malawi; ML Mali; MR Mauritania;
AF: MU Mauritius; YT Mayotte; MA Morocco; MZ Mozambique; NA Namibia; NE Niger; NG Nigeria; RE Réunion; RW Rwanda;
AF: SH Saint Helena; ST São Tomé and Príncipe; SN Senegal; SC Seychelles; SL Sierra Leone; SO Somalia;
AF: ZA South Africa; SS South Sudan; SD Sudan; TZ Tanzania; TG Togo; TN Tunisia; UG Uganda; EH Western Sahara;
AF: ZM Zambia; ZW Zimbabwe
AN: AQ Antarctica; BV Bouvet Island; TF French Southern Territories; HM Heard and McDonald Islands;
AN: GS South Georgia and South Sandwich Islands
AS: AF Afghanistan; AM Armenia; AZ Azerbaijan; BH Bahrain; BD Bangladesh; BT Bhutan; BN Brunei; KH Cambodia; CN China;
AS: CX Christmas Island; CC Cocos (Keeling) Islands; GE Georgia; HK Hong Kong; IN India; ID Indonesia; IR Iran; IQ Iraq;
AS: IL Israel; JP Japan; JO Jordan; KZ Kazakhstan; KW Kuwait; KG Kyrgyzstan; LA Laos; LB Lebanon; MO Macao; MY Malaysia;
AS: MV Maldives; MN Mongolia; MM Myanmar; NP Nepal; KP North Korea; OM Oman; PK Pakistan; PS Palestine; PH Philippines;
AS: QA Qatar; SA Saudi Arabia; SG Singapore; KR South Korea; LK Sri Lanka; SY Syria; TW Taiwan; TJ Tajikistan;
AS: TH Thailand; TL Timor-Leste; TR Türkiye; TM Turkmenistan; AE United Arab Emirates; UZ Uzbekistan; VN Vietnam;
AS: YE Yemen; IO British Indian Ocean Territory
EU: AX Åland Islands; AL Albania; AD Andorra; AT Austria; BY Belarus; BE Belgium; BA Bosnia and Herzegovina;
EU: BG Bulgaria; HR Croatia; CY Cyprus; CZ Czechia; DK Denmark; EE Estonia; FO Faroe Islands; FI Finland; FR France;
EU: DE Germany; GI Gibraltar; GR Greece; GG Guernsey; HU Hungary; IS Iceland; IE Ireland; IM Isle of Man; IT Italy;
EU: JE Jersey; XK Kosovo; LV Latvia; LI Liechtenstein; LT Lithuania; LU Luxembourg; MT Malta; MD Moldova; MC Monaco;
EU: ME Montenegro; NL Netherlands; MK North Macedonia; NO Norway; PL Poland; PT Portugal; RO Romania; RU Russia;
EU: SM San Marino; RS Serbia; SK Slovakia; SI Slovenia; ES Spain; SJ Svalbard and Jan Mayen; SE Sweden; CH Switzerland;
EU: UA Ukraine; GB United Kingdom; VA Vatican City
NA: AI Anguilla; AG Antigua and Barbuda; AW Aruba; BS Bahamas; BB Barbados; BZ Belize; BM Bermuda;
NA: BQ Bonaire, Sint Eustatius, and Saba; VG British Virgin Islands; CA Canada; KY Cayman Islands; CR Costa Rica;
NA: CU Cuba; CW Curaçao; DM Dominica; DO Dominican Republic; SV El Salvador; GL Greenland; GD Grenada; GP Guadeloupe;
NA: GT Guatemala; HT Haiti; HN Honduras; JM Jamaica; MQ Martinique; MX Mexico; MS Montserrat; NI Nicaragua; PA Panama;
NA: PR Puerto Rico; BL Saint Barthélemy; KN St Kitts and Nevis; LC Saint Lucia; MF Saint Martin;
NA: PM Saint Pierre and Miquelon; VC St Vincent and Grenadines; SX Sint Maarten; TT Trinidad and Tobago;
NA: TC Turks and Caicos Islands; US United States; VI U.S. Virgin Islands
OC: AS American Samoa; AU Australia; CK Cook Islands; FJ Fiji; PF French Polynesia; GU Guam; KI Kiribati;
OC: MH Marshall Islands; FM Micronesia; NR Nauru; NC New Caledonia; NZ New Zealand; NU Niue; NF Norfolk Island;
OC: MP Northern Mariana Islands; PW Palau; PG Papua New Guinea; PN Pitcairn Islands; WS Samoa; SB Solomon Islands;
OC: TK Tokelau; TO Tonga; TV Tuvalu; UM U.S. Outlying Islands; VU Vanuatu; WF Wallis and Futuna
SA: AR Argentina; BO Bolivia; BR Brazil; CL Chile; CO Colombia; EC Ecuador; FK Falkland Islands; GF French Guiana;
SA: GY Guyana; PY Paraguay; PE Peru; SR Suriname; UY Uruguay; VE Venezuela
"""  # noqa: E501


def _read_list() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for line in _LIST.strip().splitlines():
        continent, _, countries = line.partition(": ")
        for country in countries.rstrip(";").split("; "):
            code, _, name = country.partition(" ")
            found[code] = (name, CONTINENTS[continent])
    return found


COUNTRIES = _read_list()
"""ISO 3166-1 code → the names of the country and of its continent."""
