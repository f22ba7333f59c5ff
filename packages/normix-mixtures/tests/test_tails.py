"""Both tails of the univariate law: to 1e-10 against 30 digits, inverses, derivatives, batches.

The references are E Q(z(Y)), Q(z) = erfc(z/√2)/2, integrated over log y by Gauss-Legendre panels
in 45 digits, with the normaliser of Y by the same integral. They are stored, since mpmath takes
about half a minute for them; `test_stored_references` computes some of them again.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from normix_mixtures import UnivariateNormalMixture

NAMES = ("mu", "gamma", "sigma", "p", "a", "b")

# mu, gamma, sigma, p, a, b
LAWS = {
    "near_normal": (0.3, 0.1, 1.2, 0.5, 1e4, 1e4),
    "moderate": (0.1, 0.4, 1.3, 0.7, 1.4, 0.9),
    "nig": (0.0, -0.8, 1.0, -0.5, 1.2, 0.5),
    "vg": (-0.5, 0.4, 0.7, 2.1, 4.2, 0.0),
    "vg_peaked": (0.25, -0.6, 1.0, 0.3, 0.6, 0.0),
    "t": (0.5, 0.0, 1.0, -2.0, 0.0, 2.0),
    "t_skew": (0.0, 0.7, 1.0, -2.5, 0.0, 3.0),
    "p_30": (0.0, 0.2, 1.0, 30.0, 60.0, 0.01),
    "p_-30": (0.0, -0.2, 1.0, -30.0, 0.01, 60.0),
    "strong_skew": (0.0, 1.7, 0.1, 1.0, 2.0, 1.0),
    "one_sided": (0.0, 300.0, 1.0, 1.5, 1.0, 0.5),
    "one_sided_left": (0.0, -50.0, 0.1, -1.2, 0.3, 0.5),
    "almost_vg": (0.0, 0.3, 1.0, 0.0, 1e-3, 1e-6),
}

# law, x, side (1: P(X > x), -1: P(X <= x)), value; at 1e-3, 1e-20, 1e-200 and exp(-1e4)
# where the power tail of the law leaves x² a number
TAILS = [
    ("near_normal", -207.267, -1, "1.124608162624193339506908e-4343"),
    ("near_normal", -36.2537, -1, "9.991395261981510143913119e-201"),
    ("near_normal", -10.7264, -1, "1.000232898809454476737892e-20"),
    ("near_normal", -3.30907, -1, "0.0009990083043769977814521994"),
    ("near_normal", 4.10918, 1, "0.0009989957383703427776739795"),
    ("near_normal", 11.5273, 1, "9.999833075362616207062949e-21"),
    ("near_normal", 37.0628, 1, "9.999680257230273578013767e-201"),
    ("near_normal", 208.267, 1, "1.116178025534429829514636e-4343"),
    ("moderate", -8492.75, -1, "1.133498960430233555498954e-4343"),
    ("moderate", -389.472, -1, "9.998591994859401895900811e-201"),
    ("moderate", -37.9434, -1, "1.00003232079593621651486e-20"),
    ("moderate", -5.06508, -1, "0.0009989981419307869697376828"),
    ("moderate", 9.31641, 1, "0.000998998064382741545079577"),
    ("moderate", 64.2537, 1, "1.000002192158515778757084e-20"),
    ("moderate", 652.227, 1, "9.9995182659399794384497e-201"),
    ("moderate", 14206.1, 1, "1.142730191634369009690417e-4343"),
    ("nig", -17944.6, -1, "1.130082380259253534659152e-4343"),
    ("nig", -809.961, -1, "1.000066382160346927723839e-200"),
    ("nig", -71.622, -1, "1.000016448760997137043309e-20"),
    ("nig", -7.05922, -1, "0.0009990041923604893982317259"),
    ("nig", 2.02822, 1, "0.0009990023224775526374871545"),
    ("nig", 18.7831, 1, "1.000109494161883114733039e-20"),
    ("nig", 209.32, 1, "9.991956004328793331044125e-201"),
    ("nig", 4630.83, 1, "1.140859657057678690995111e-4343"),
    ("vg", -2596.13, -1, "1.127267863463482525349077e-4343"),
    ("vg", -121.132, -1, "9.998522082315364027615524e-201"),
    ("vg", -13.0033, -1, "9.999089111136756314921613e-21"),
    ("vg", -2.37676, -1, "0.0009990140058910386859611338"),
    ("vg", 3.3084, 1, "0.0009989916535602588645401411"),
    ("vg", 21.712, 1, "1.000019522120405227080551e-20"),
    ("vg", 209.247, 1, "1.000647861302737644804682e-200"),
    ("vg", 4501.93, 1, "1.13351993917005161509939e-4343"),
    ("vg_peaked", -26309.7, -1, "1.114922077015138514432836e-4343"),
    ("vg_peaked", -1197.95, -1, "9.992038562816687592948948e-201"),
    ("vg_peaked", -111.004, -1, "9.998675134392185076173251e-21"),
    ("vg_peaked", -11.7463, -1, "0.0009989820270452878843740219"),
    ("vg_peaked", 2.88323, 1, "0.0009990025812722395366333338"),
    ("vg_peaked", 26.7281, 1, "1.000013250981431406227628e-20"),
    ("vg_peaked", 288.036, 1, "1.00025635223744422973125e-200"),
    ("vg_peaked", 6325.1, 1, "1.127678070577725580361619e-4343"),
    ("t", -9.30605e49, -1, "9.999993943816403683605216e-201"),
    ("t", -93060.0, -1, "9.999993939967404917296575e-21"),
    ("t", -4.57355, -1, "0.0009990044719368280464206665"),
    ("t", 5.57355, 1, "0.0009990044719368280464206665"),
    ("t", 93061.0, 1, "9.999993939967404917296575e-21"),
    ("t", 9.30605e49, 1, "9.999993943816403683605216e-201"),
    ("t_skew", -7120.32, -1, "1.141999175947774791359813e-4343"),
    ("t_skew", -314.215, -1, "1.000074357017384661211454e-200"),
    ("t_skew", -24.5991, -1, "1.000040534238466486002524e-20"),
    ("t_skew", -2.3682, -1, "0.0009989946752994687634544214"),
    ("t_skew", 11.5267, 1, "0.0009989950990155963197442206"),
    ("t_skew", 64947000.0, 1, "9.999984485539174017069819e-21"),
    ("p_30", -1280.09, -1, "1.09240927282024165495891e-4343"),
    ("p_30", -69.3987, -1, "1.000003724061555785045797e-200"),
    ("p_30", -11.1353, -1, "9.999616814568838470933848e-21"),
    ("p_30", -2.94597, -1, "0.0009990099241049125126153374"),
    ("p_30", 3.39997, 1, "0.0009990143522301157697300047"),
    ("p_30", 11.9627, 1, "9.999201963305218576209004e-21"),
    ("p_30", 73.2867, 1, "1.000326823371371388078349e-200"),
    ("p_30", 1348.12, 1, "1.159175712390425114380047e-4343"),
    ("p_-30", -406207.0, -1, "1.131527222366973729147935e-4343"),
    ("p_-30", -7376.66, -1, "1.000054424770029527276915e-200"),
    ("p_-30", -14.7987, -1, "1.000066978469338813059481e-20"),
    ("p_-30", -3.47309, -1, "0.0009989885579648355856608399"),
    ("p_-30", 2.99557, 1, "0.0009989886123811827331561675"),
    ("p_-30", 13.081, 1, "9.998840529828796738563592e-21"),
    ("p_-30", 595.952, 1, "1.000073225755585363006463e-200"),
    ("p_-30", 22841.2, 1, "1.114118872579043646098844e-4343"),
    ("strong_skew", -29.3447, -1, "1.121403188786246444654148e-4343"),
    ("strong_skew", -1.33395, -1, "9.999925933955151180228339e-201"),
    ("strong_skew", -0.0983752, -1, "1.000007574577518135687489e-20"),
    ("strong_skew", 0.206866, -1, "0.00099898979047421880393641"),
    ("strong_skew", 13.044, 1, "0.0009990057070378505063506452"),
    ("strong_skew", 79.7837, 1, "9.999957418563578234301812e-21"),
    ("strong_skew", 785.608, 1, "9.997842742160715008285799e-201"),
    ("strong_skew", 17030.7, 1, "1.162053537370111097541179e-4343"),
    ("one_sided", -16.6353, -1, "1.12795109995941851343484e-4343"),
    ("one_sided", -0.573077, -1, "9.998482822259083019902498e-201"),
    ("one_sided", 2.12594, -1, "9.999733583509007894765179e-21"),
    ("one_sided", 41.6182, -1, "0.0009989978225621334006651911"),
    ("one_sided", 4981.29, 1, "0.0009990044535541384856520908"),
    ("one_sided", 28974.7, 1, "1.000038384316205363116533e-20"),
    ("one_sided", 278329.0, 1, "1.000346000597921409797304e-200"),
    ("one_sided", 6002960.0, 1, "1.127558419745313969720728e-4343"),
    ("one_sided_left", -3325330.0, -1, "1.126513846955859511094443e-4343"),
    ("one_sided_left", -147780.0, -1, "1.001348366142766860554635e-200"),
    ("one_sided_left", -11480.2, -1, "1.000133546023372260953204e-20"),
    ("one_sided_left", -495.113, -1, "0.0009990008689456751080415577"),
    ("one_sided_left", -1.66418, 1, "0.0009990194887392094517373661"),
    ("one_sided_left", -0.261367, 1, "9.999891058429109902857462e-21"),
    ("one_sided_left", 0.0189421, 1, "1.000155044756449930621518e-200"),
    ("one_sided_left", 0.998149, 1, "1.131794698560188380611608e-4343"),
    ("almost_vg", -16600.3, -1, "1.110400977144944783380176e-4343"),
    ("almost_vg", -750.189, -1, "9.999000727517755933629372e-201"),
    ("almost_vg", -65.341, -1, "1.000026289465832018828761e-20"),
    ("almost_vg", -4.37588, -1, "0.0009989983279131411412502879"),
    ("almost_vg", 1584.06, 1, "0.0009989907330287800161261057"),
    ("almost_vg", 23653.3, 1, "9.999607113645449189155348e-21"),
    ("almost_vg", 271566.0, 1, "1.000475924587264929420262e-200"),
    ("almost_vg", 6009250.0, 1, "1.134171115964746962128548e-4343"),
]

# Value; derivatives in x, mu, gamma, sigma, p, a, b (forward at a = 0 and b = 0). "below" and
# "above" are E max(x - X, 0) and E max(X - x, 0).
SLOPES = {
    ("moderate", -5.06508): {
        "log_cdf": "-6.9087576392465924; 1.203039603237 -1.203039603237 -4.568703529454 6.185597850515 1.136381535366 -1.304147259478 0.4081678086493",  # noqa: E501
        "log_sf": "-0.00099949747315625501; -0.001203036159191 0.001203036159191 0.004568690450228 -0.006185580142465 -0.001136378282147 0.001304143525982 -0.0004081666401517",  # noqa: E501
        "log_prob": "-6.7239062823992446; 1.20310650336 -1.20310650336 -3.955108526686 5.227834422346 1.005719335238 -1.047481861658 0.3884159528097",  # noqa: E501
        "below": "0.00083081004793609062; 0.0009989981419308 -0.0009989981419308 -0.004306645346496 0.005933364238045 0.001041588156438 -0.001297895809112 0.0003521938704149",  # noqa: E501
        "above": "5.8469787308202722; -0.9990010018581 0.9990010018581 1.698363156584 0.005933364238045 0.3876031915906 -0.3770634801512 0.172570085752",  # noqa: E501
    },
    ("moderate", 0.7): {
        "log_cdf": "-0.6425300740879634; 0.5222086190351 -0.5222086190351 -0.677697702554 -0.03249699261496 -0.1839588316002 0.1410003250641 -0.1053351901461",  # noqa: E501
        "log_sf": "-0.7464636177923919; -0.5794044148916 0.5794044148916 0.7519237073246 0.03605628154243 0.2041072385676 -0.156443627825 0.1168722077527",  # noqa: E501
        "log_prob": "-1.2922181917036607; -0.2544517609106 0.2544517609106 0.04786915748937 -0.6665204664995 -0.2654667222487 0.2024584961617 -0.1451652728917",  # noqa: E501
        "below": "0.61907674969205228; 0.5259600213937 -0.5259600213937 -0.7472151774754 0.4633744675739 0.005027992965914 0.002036655761728 0.005731834443631",  # noqa: E501
        "above": "0.70014467046438841; -0.4740399786063 0.4740399786063 0.9554546244554 0.4633744675739 0.3915895964 -0.3737289285804 0.1779497263252",  # noqa: E501
    },
    ("t_skew", 11.5267): {
        "log_cdf": "-0.00099949442719816252; 0.0002375635889994 -0.0002375635889994 -0.002971229577404 -0.0006584635171368 -0.003222998274355 0.01056322491385 -0.0008030308209171",  # noqa: E501
        "log_sf": "-6.9087606852180485; -0.2375649934341 0.2375649934341 2.971247142797 0.6584674098586 3.223017328161 -10.5632873618 0.8030355682958",  # noqa: E501
        "log_prob": "-8.3460747215980609; -0.328973497146 0.328973497146 2.771735853588 0.8517637120414 2.768309703365 -5.753545818866 0.7886989845108",  # noqa: E501
        "below": "10.833626182320611; 0.999001004901 -0.999001004901 -0.9778956602931 0.002968261333618 -0.4393343396391 0.4590707079725 -0.2276809438461",  # noqa: E501
        "above": "0.0069261823206114585; -0.0009989950990156 0.0009989950990156 0.02210433970688 0.002968261333618 0.02733232702761 -0.2409292908247 0.005652389487208",  # noqa: E501
    },
    ("vg", 21.712): {
        "log_cdf": "-1.0000195221204052e-20; 2.175285132293e-20 -2.175285356975e-20 -3.346043934932e-19 -4.990465337681e-19 -3.002327322639e-20 7.345429711655e-20 -8.816207631167e-21",  # noqa: E501
        "log_sf": "-46.051682337951063; -2.175242686909 2.175242686909 33.45978716591 49.90367956466 3.002268773945 -7.345286360475 0.9222044556747",  # noqa: E501
        "log_prob": "-45.274542099446919; -2.174287493875 2.174287493875 32.77380093527 48.83679062834 2.982456175911 -7.191046927149 0.9215587610465",  # noqa: E501
        "below": "21.812; 1.0 -1.0 -1.0 2.342229589453e-19 -0.1904761904762 0.0952380952381 -0.1818181818182",  # noqa: E501
        "above": "4.5953377057460926e-21; -1.00001952212e-20 1.00001952212e-20 1.56908790342e-19 2.342230826033e-19 1.388567730662e-20 -3.446228453523e-20 4.24069395978e-21",  # noqa: E501
    },
    ("strong_skew", 0.206866): {
        "log_cdf": "-6.9087659991134693; 23.51191102857 -23.51191102857 -3.247678606926 6.572386449364 -2.323988063041 0.7085404981508 -3.775353313004",  # noqa: E501
        "log_sf": "-0.00099948911334828913; -0.02351164696736 0.02351164696736 0.003247642132394 -0.006572312635188 0.002323961962436 -0.0007085325405644 0.003775310912181",  # noqa: E501
        "log_prob": "-3.7512588540898322; 16.41626981234 -16.41626981234 -2.795343365061 3.56115649605 -2.183781730229 0.7000321575041 -3.173961580793",  # noqa: E501
        "below": "3.3417917380747422e-5; 0.0009989897904742 -0.0009989897904742 -0.0001209900484271 0.000324439777106 -8.096108758162e-5 2.386110287136e-5 -0.0001417388877281",  # noqa: E501
        "above": "2.4080961870819898; -0.9990010102095 0.9990010102095 1.538072403578 0.000324439777106 1.207510419709 -1.028771829296 0.5571956494799",  # noqa: E501
    },
    ("near_normal", -10.7264): {
        "log_cdf": "-46.051468988188177; 7.78206863428 -7.78206863428 -7.815238583894 72.15810453951 0.004251108977023 -0.00213018650887 0.002121147377661",  # noqa: E501
        "log_sf": "-1.0002328988094545e-20; -7.783881072285e-20 7.783881145435e-20 7.817059473487e-20 -7.217490988116e-19 -4.25161613013e-23 2.130682546264e-23 -2.121641415136e-23",  # noqa: E501
        "log_prob": "-43.999646794045122; 7.694926653921 -7.694926653921 -7.726962663635 70.5166962693 0.004153512981108 -0.002081178172098 0.002072553977424",  # noqa: E501
        "below": "1.271371266963515e-21; 1.000232898809e-20 -1.000232898809e-20 -1.004594287353e-20 9.380470492387e-20 5.527529648964e-24 -2.769924441376e-24 2.757898425321e-24",  # noqa: E501
        "above": "11.12641; -1.0 1.0 1.0001 9.380469409027e-20 1.000049995001e-5 -5.001e-6 5.0e-6",
    },
    ("t_skew", -2.3682): {
        "log_cdf": "-6.908761109360487; 2.507663007685 -2.507663007685 -4.194714168541 8.874947452778 0.8451833194622 -0.5108828630834 0.5003912694702",  # noqa: E501
        "log_sf": "-0.00099949400305832143; -0.002507647118241 0.002507647118241 0.004194687589341 -0.008874891217959 -0.0008451779640805 0.0005108796259481 -0.0005003880988134",  # noqa: E501
        "log_prob": "-5.9894098625695837; 2.576115518015 -2.576115518015 -3.539130826423 7.578148348258 0.6627132140258 -0.3363791617305 0.4372275318777",  # noqa: E501
        "below": "0.00041086469213050217; 0.0009989946752995 -0.0009989946752995 -0.002019733195144 0.004190497118775 0.0004203697907166 -0.0002927684754758 0.0002271451075957",  # noqa: E501
        "above": "3.0686108646921303; -0.9990010053247 0.9990010053247 0.9979802668049 0.004190497118775 0.4670870364574 -0.7002927672629 0.2335604784409",  # noqa: E501
    },
    ("p_-30", 2.99557): {
        "log_cdf": "-0.00099948793407717395; 0.003038913650801 -0.003038913650801 -0.003548980319863 -0.009813074628904 -0.0001507547209856 8.421861528005e-5 -6.993165107211e-5",  # noqa: E501
        "log_sf": "-6.908767178398525; -3.038951368458 3.038951368458 3.549024368243 9.813196424462 0.1507565920868 -0.08421966056439 0.06993251903294",  # noqa: E501
        "log_prob": "-5.7972546670735142; -2.851813351302 2.851813351302 3.229139013646 8.18863432349 0.1217605332046 -0.06677666772927 0.05746369320564",  # noqa: E501
        "below": "3.2027409382401887; 0.9990010113876 -0.9990010113876 -1.033090218144 0.003545434928938 0.007186279580447 -0.003850822673295 0.003472537547776",  # noqa: E501
        "above": "0.00031259168602679395; -0.0009989886123812 0.0009989886123812 0.001201514626603 0.003545434928938 5.591399128972e-5 -3.176859115167e-5 2.553494755395e-5",  # noqa: E501
    },
    ("moderate", 64.2537): {
        "log_cdf": "-1.0000021921585158e-20; 7.08136557934e-21 -7.081398374544e-21 -2.892004833823e-19 -2.604735461602e-19 -3.485609959385e-20 2.001278161443e-19 -5.343397324233e-21",  # noqa: E501
        "log_sf": "-46.051699667724801; -0.708135007665 0.708135007665 28.91998540254 26.04729744632 3.485602315362 -20.01273751728 0.5343388632557",  # noqa: E501
        "log_prob": "-46.396820182399666; -0.7082253159765 0.7082253159765 28.29458003649 25.47495572228 3.464128594653 -19.56848977195 0.5340750592837",  # noqa: E501
        "below": "63.472632079227659; 1.0 -1.0 -1.702669801931 3.759607092122e-19 -0.3865616034341 0.3757655843421 -0.1722178918815",  # noqa: E501
        "above": "1.412336360948644e-20; -1.000002192159e-20 1.000002192159e-20 4.17282363112e-19 3.759606343965e-19 4.952552803284e-20 -2.889229602651e-19 7.550236923819e-21",  # noqa: E501
    },
    ("vg", -2.37676): {
        "log_cdf": "-6.908741759503049; 3.413281988031 -3.413281988031 -6.014545565473 12.58818475721 0.8518509185539 -0.4762015330558 0.6570646250893",  # noqa: E501
        "log_sf": "-0.00099951335298054765; -0.003413326473052 0.003413326473052 0.006014623952546 -0.01258834881798 -0.0008518620206562 0.0004762077393508 -0.000657073188558",  # noqa: E501
        "log_prob": "-5.6810674712418966; 3.361245121402 -3.361245121402 -5.268571757267 10.59382728136 0.7451134973686 -0.3810502013258 0.6223212731139",  # noqa: E501
        "below": "0.00028912074792687968; 0.000999014005891 -0.000999014005891 -0.00195047800819 0.004206030681284 0.0002739139424505 -0.0001647427464699 0.0001981017923217",  # noqa: E501
        "above": "2.2770491207479269; -0.9990009859941 0.9990009859941 0.9980495219918 0.004206030681284 0.1907501044186 -0.09540283798457 0.1820162836105",  # noqa: E501
    },
}


def law_of(parameters):
    return UnivariateNormalMixture(*(np.float64(value) for value in parameters))


def log_weight(parameters, v, upper):
    """In float64: log-density of log Y at v but for a constant, plus log Q(z(e^v)) for a tail."""
    mu, gamma, sigma, p, a, b = (float(value) for value in parameters)
    with np.errstate(all="ignore"):
        value = p * v
        value = value - (a * np.exp(v) / 2 if a else 0) - (b * np.exp(-v) / 2 if b else 0)
        if upper is not None:
            x, side = upper
            z = side * ((x - mu) / sigma * np.exp(-v / 2) - gamma / sigma * np.exp(v / 2))
            value = value + special.log_ndtr(-np.where(np.isnan(z), 0, z))
    return np.where(np.isnan(value), -np.inf, value)


def panels(parameters, upper, depth=100.0):
    """Log of the largest integrand; ends of panels in log y, each about one width of it."""
    v = np.linspace(-2500, 1400, 39_001)
    for _ in range(12):  # zoom on the maximum
        at = int(np.argmax(log_weight(parameters, v, upper)))
        v = np.linspace(v[max(at - 3, 0)], v[min(at + 3, v.size - 1)], 1001)
    peak = v[np.argmax(log_weight(parameters, v, upper))]
    top = float(log_weight(parameters, peak, upper))
    ends = []
    for side in (-1, 1):
        far = 1e-6
        while log_weight(parameters, peak + side * far, upper) > top - depth:
            far *= 1.2
        ends.append(peak + side * far)
    v, splits = np.linspace(*ends, 6001), np.zeros(0)
    mu, gamma, sigma = (float(value) for value in parameters[:3])
    if upper is not None and (upper[0] - mu) * gamma > 0:  # z(y) changes its sign
        edge = (upper[0] - mu) / gamma
        near = np.log(edge) + sigma / np.sqrt(edge) / abs(gamma) * np.linspace(-15, 15, 1201)
        near = near[(near > ends[0]) & (near < ends[1])]
        v, splits = np.union1d(v, near), near[::40]
    value = log_weight(parameters, v, upper)
    assert np.all(np.isfinite(value)), "ends are where it is exp(-110), not 0"
    slope = np.gradient(value, v)
    speed = np.abs(slope) / 12 + np.sqrt(np.abs(np.gradient(slope, v))) / 3 + 0.1
    length = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(v))])
    count = int(np.ceil(length[-1])) + 2
    assert count < 2000, "an edge that these numbers do not resolve"
    found = np.interp(np.linspace(0, length[-1], count), length, v)
    return top, [mp.mpf(float(x)) for x in np.union1d(found, splits)]


def mp_integral(f, parameters, upper):
    top, ends = panels(parameters, upper)
    scale = mp.exp(top)  # mp.quad stops by the absolute error
    value, error = mp.quad(
        lambda v: f(v) / scale, ends, method="gauss-legendre", maxdegree=6, error=True
    )
    assert abs(error) <= mp.mpf(10) ** (8 - mp.mp.dps) * abs(value), ("quadrature", error / value)
    return value * scale


def mp_weight(parameters):
    """y^p exp(-(a y + b/y)/2) in v = log y."""
    p, a, b = parameters[3:]
    return lambda v: mp.exp(p * v - (a * mp.exp(v) + b * mp.exp(-v)) / 2)


def mp_mass(parameters):
    return mp_integral(mp_weight(parameters), parameters, None)


def mp_tail(parameters, x, side, *, loss=False, mass=None):
    """P(X > x) for side = 1, P(X < x) for -1; with ``loss`` E of side (X - x) in that tail."""
    parameters, x = [mp.mpf(value) for value in parameters], mp.mpf(x)
    mu, gamma, sigma = parameters[:3]
    weight = mp_weight(parameters)
    root2, peak = mp.sqrt(2), 1 / mp.sqrt(2 * mp.pi)

    def term(v):
        root = mp.exp(v / 2)
        z = side * ((x - mu) / root - gamma * root) / sigma
        value = mp.erfc(z / root2) / 2
        if loss:
            value = sigma * root * (peak * mp.exp(-z * z / 2) - z * value)
        return weight(v) * value

    return mp_integral(term, parameters, (float(x), side)) / (mass or mp_mass(parameters))


def mp_log_prob(parameters, x):
    parameters, x = [mp.mpf(value) for value in parameters], mp.mpf(x)
    mu, gamma, sigma, p, a, b = parameters
    z, skew = (x - mu) / sigma, gamma / sigma
    tilted = (mp.mpf(0), skew, mp.mpf(1), p - mp.mpf(1) / 2, a + skew**2, b + z**2)
    mass = mp_mass(tilted) / mp_mass(parameters)
    return mp.log(mass) + z * skew - mp.log(sigma) - mp.log(2 * mp.pi) / 2


def mp_slopes(f, parameters, x):
    """Central differences of f(parameters, x) in x and the parameters, forward at a = 0, b = 0."""
    point = [mp.mpf(x), *(mp.mpf(value) for value in parameters)]
    found = []
    for i, value in enumerate(point):
        edge = i >= 5 and value == 0
        step = mp.mpf("1e-18") if edge else mp.mpf("1e-13") * (abs(value) or 1)
        above, below = list(point), list(point)
        above[i], below[i] = value + step, value if edge else value - step
        rise = f(above[1:], above[0]) - f(below[1:], below[0])
        found.append(rise / (step if edge else 2 * step))
    return found


def assert_relative(got, expected, tolerance, case, floor=0.0):
    got, expected = np.asarray(got, float), np.asarray([float(value) for value in expected])
    error = np.abs(got - expected) / np.maximum(np.abs(expected), floor or 1e-320)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert np.all(error <= tolerance), (case, worst, got[worst], expected[worst], error[worst])


def four(law, x):
    return law.cdf(x), law.sf(x), law.log_cdf(x), law.log_sf(x)


def padded(x, size=8):
    """One shape in all files, one compilation of what the methods of a law share."""
    return np.concatenate([x, np.full(size - len(x), x[-1])])


@pytest.mark.parametrize("name", LAWS)
def test_both_tails_against_stored_references(name):
    rows = [row[1:] for row in TAILS if row[0] == name]
    got = np.asarray(four(law_of(LAWS[name]), padded([x for x, *_ in rows])))
    with mp.workdps(60):
        for (x, side, value), (cdf, sf, log_cdf, log_sf) in zip(rows, got.T, strict=False):
            small = mp.mpf(value)
            if side < 0:
                cdf, sf, log_cdf, log_sf = sf, cdf, log_sf, log_cdf
            expected = (1 - small, small, mp.log1p(-small), mp.log(small))
            assert_relative((cdf, sf, log_cdf, log_sf), expected, 1e-10, (name, x, side))


def test_stored_references():
    """Some of them again, in fewer digits."""
    with mp.workdps(38):
        for name, x, side, value in TAILS[4::33]:
            got = mp_tail(LAWS[name], x, side)
            assert abs(got / mp.mpf(value) - 1) < mp.mpf("1e-22"), (name, x, mp.nstr(got, 25))


@pytest.mark.parametrize(
    "parameters",
    [(0.0, 0.5, 1.0, 0.05, 2.0, 0.0), (0.0, 0.5, 1.0, -0.05, 0.0, 2.0)],
    ids=["b = 0", "a = 0"],
)
def test_log_y_over_all_orders_of_magnitude(parameters):
    x = np.array([-1.0, -0.1, 0.3, 1.0, 20.0])
    cdf, sf, *_ = four(law_of(parameters), padded(x))
    with mp.workdps(38):
        for i, value in enumerate(x):
            expected = mp_tail(parameters, value, -1), mp_tail(parameters, value, 1)
            assert_relative((cdf[i], sf[i]), expected, 1e-10, (parameters, value))


@pytest.mark.parametrize("nu", [1.0, 4.0, 60.0])
def test_symmetric_t_to_the_ends_of_the_numbers(nu):
    """P(T > t) = I(ν/(ν + t²); ν/2, 1/2)/2."""
    law = law_of((0.0, 0.0, 1.0, -nu / 2, 0.0, nu))
    x = np.array([1e-3, 1.0, 30.0, 1e5, 1e50, 1e130, 1e200, 1e300])
    got = np.asarray(four(law, x))[3]
    mirrored = np.asarray(four(law, -x))[2]
    with mp.workdps(40):
        for i, t in enumerate(x):
            w = nu / (nu + mp.mpf(t) ** 2)
            value = mp.mpf(nu) / 2
            if t > 1e20:
                tail = w**value / value / mp.beta(value, 0.5) / 2
            else:
                tail = mp.betainc(value, 0.5, 0, w, regularized=True) / 2
            both = (got[i], mirrored[i])
            assert_relative(both, [mp.log(tail)] * 2, 1e-10, (nu, t))


@pytest.mark.parametrize("gamma", [0.0, -0.7, 3.0, 1e3, -1e5])
def test_asymmetric_laplace(gamma):
    """p = 1, b = 0: P(X > x) = l/(l + r) exp(-r x), r l = a/σ², r - l = -2γ/σ²."""
    sigma, a = 0.8, 2.5
    law = law_of((0.0, gamma, sigma, 1.0, a, 0.0))
    with mp.workdps(40):
        root = mp.sqrt(mp.mpf(gamma) ** 2 + mp.mpf(a) * mp.mpf(sigma) ** 2)
        right = mp.mpf(a) / (root + gamma)
        left = mp.mpf(a) / (root - gamma)
        for side, rate, other in ((1, right, left), (-1, left, right)):
            exponents = [0.0, 0.01, 1.0, 30.0, 500.0, 1e4]
            x = np.array([side * float(e / rate) for e in exponents])
            got = np.asarray(four(law, padded(x)))[3 if side > 0 else 2]
            for value, point in zip(got, x, strict=False):
                expected = mp.log(other / (right + left)) - rate * abs(mp.mpf(point))
                assert_relative([value], [expected], 1e-10, (gamma, side, point))


@pytest.mark.parametrize("x", [1e8, 1e9, 1e12, 1e20, 1e40, 1e75])
def test_far_right_tail_of_the_skewed_t(x):
    """There X > x is Y > x/γ but for √Y Z, which adds a relative ν²/(γ x) or so.

    1e75 is where the probability is 1e-200.
    """
    name = "t_skew"
    _, gamma, _, p, _, b = LAWS[name]
    with mp.workdps(40):
        if x < 1e20:
            expected = mp.log(mp_tail(LAWS[name], x, 1))
        else:
            least = b * mp.mpf(gamma) / (2 * mp.mpf(x))
            expected = mp.log(mp.gammainc(-p, 0, least, regularized=True))
        got = four(law_of(LAWS[name]), padded([x]))[3][0]
        assert abs(float(got) - float(expected)) < 1e-10 * abs(expected), (x, got, expected)


def test_values_do_not_depend_on_the_batch():
    """Nodes are shared by the points of a batch."""
    for name, far in (("t_skew", -7e3), ("strong_skew", 1e3), ("moderate", -1e4), ("vg", 1e3)):
        law, x = law_of(LAWS[name]), np.array([0.1, -0.5, 1.0])
        alone = np.asarray([four(law, padded([value])) for value in x])[..., 0].T
        beside = np.asarray(four(law, padded([*x, far])))[:, :3]
        np.testing.assert_allclose(beside, alone, rtol=1e-12, err_msg=name)


# --- quantiles


PROBABILITIES = np.array([1e-300, 1e-200, 1e-100, 1e-20, 1e-3, 0.3, 0.5, 0.9])


def round_trip(law, q):
    lower, upper = law.ppf(q), law.isf(q)
    return lower, upper, law.cdf(lower), law.sf(upper)


def assert_round_trip(parameters):
    lower, upper, cdf, sf = round_trip(law_of(parameters), PROBABILITIES)
    assert np.all(np.diff(lower) > 0), (parameters, lower)
    assert np.all(np.diff(upper) < 0), (parameters, upper)
    assert_relative(cdf, PROBABILITIES, 1e-9, ("ppf", parameters))
    assert_relative(sf, PROBABILITIES, 1e-9, ("isf", parameters))


@settings(max_examples=60)
@given(
    p=st.floats(-20, 20),
    a=st.floats(-3, 3),
    b=st.floats(-3, 3),
    skew=st.floats(-3, 3),
)
def test_quantiles_of_any_law(p, a, b, skew):
    assert_round_trip((0.0, 1.5 * skew, 1.5, p, 10.0**a, 10.0**b))


@settings(max_examples=20)
@given(p=st.floats(0.1, 20), a=st.floats(-3, 3), skew=st.floats(-3, 3))
def test_quantiles_in_the_gamma_limit(p, a, skew):
    assert_round_trip((0.0, skew, 1.0, p, 10.0**a, 0.0))


@settings(max_examples=20)
@given(p=st.floats(-20, -2), b=st.floats(-3, 3))
def test_quantiles_of_symmetric_t(p, b):
    assert_round_trip((0.0, 0.0, 1.0, p, 0.0, 10.0**b))


@pytest.mark.parametrize("p", [-2.5, -6.0, -30.0])
def test_quantiles_of_skewed_t(p):
    assert_round_trip((0.0, 0.7, 1.0, p, 0.0, 3.0))


@pytest.mark.parametrize("name", LAWS)
def test_quantiles_of_the_laws_above(name):
    """On the far side of a nearly one-sided law the rounding of x alone is more than 1e-9."""
    if name == "t_skew":
        return  # test_quantiles_of_skewed_t
    law = law_of(LAWS[name])
    lower, upper, cdf, sf = round_trip(law, PROBABILITIES)
    for q, x, back, side in (
        *zip(PROBABILITIES, lower, cdf, ["ppf"] * 8, strict=True),
        *zip(PROBABILITIES, upper, sf, ["isf"] * 8, strict=True),
    ):
        assert_relative([back], [q], 1e-9, (name, side, float(x)))


@pytest.mark.parametrize("skew", [0.0, -1e-3, 40.0])
def test_quantiles_past_the_last_square(skew):
    """x² overflows from 1e154 on; the quantile is a power there, and infinite past 1e308."""
    law = law_of((0.0, skew, 1.0, -0.3 if skew == 0 else -0.6, 0.0, 2.0))
    lower, upper, cdf, sf = round_trip(law, PROBABILITIES)
    heavy, back = (upper, sf) if skew >= 0 else (lower, cdf)
    assert 1e160 < abs(heavy[2]) < 1e170
    assert np.all(np.abs(heavy[:2]) == np.inf)
    assert_relative(back[2:], PROBABILITIES[2:], 1e-9, skew)


# --- derivatives


def from_vector(theta):
    return UnivariateNormalMixture(*(theta[i] for i in range(6)), check=False)


def at_point(theta):
    """Functions of x, at (x, parameters); twice, for jacfwd to give the values too."""
    law, x = from_vector(theta[1:]), theta[0]
    value = jnp.stack(
        [law.log_cdf(x), law.log_sf(x), law.log_prob(x), law.mean_below(x), law.mean_above(x)]
    )
    return value, value


def at_probability(theta):
    """Functions of a probability and its complement, at (q, 1 - q, parameters)."""
    law = from_vector(theta[2:])
    value = jnp.stack([
        law.ppf(theta[0]), law.isf(theta[1]),
        law.expected_shortfall(theta[1], of="return"), law.expected_shortfall(theta[0], of="loss"),
    ])  # fmt: skip
    return value, value


def some_in_reverse(theta):
    law, x = from_vector(theta[1:]), theta[0]
    return law.log_sf(x) + law.log_prob(x) + law.mean_above(x)


# compiled part by part, of which both tail means have one
point_slopes = jax.jacfwd(at_point, has_aux=True)
probability_slopes = jax.jacfwd(at_probability, has_aux=True)
point_reverse = jax.grad(some_in_reverse)
isf_reverse = jax.jit(jax.grad(lambda theta: from_vector(theta[1:]).isf(theta[0])))


def parsed(text):
    value, slopes = text.split(";")
    return float(value), np.array([float(slope) for slope in slopes.split()])


def rows_of(name, x):
    """`SLOPES` with the larger of the two tails by its complement, which has more digits."""
    rows = {key: parsed(text) for key, text in SLOPES[name, x].items()}
    large, small = ("log_cdf", "log_sf")
    if rows[large][0] < rows[small][0]:
        large, small = small, large
    value, slopes = rows[small]
    other = np.log1p(-np.exp(value))
    rows[large] = other, -np.exp(value - other) * slopes
    return rows


def tolerance_for(name, argument):
    """A forward difference of E Y has an error of √(1e-18) at a = 0, p = -2.5."""
    return 2e-8 if (name, argument) == ("t_skew", "a") else 1e-9


@pytest.mark.parametrize(("name", "x"), SLOPES)
def test_derivatives_at_a_point(name, x):
    rows = rows_of(name, x)
    theta = np.array([x, *LAWS[name]])
    by_x = np.eye(7)[0]
    (log_cdf, lower_slopes), (log_sf, upper_slopes) = rows["log_cdf"], rows["log_sf"]
    below = (rows["below"][1] - rows["below"][0] * lower_slopes) / np.exp(log_cdf)
    above = (rows["above"][1] - rows["above"][0] * upper_slopes) / np.exp(log_sf)
    expected = {
        "log_cdf": (log_cdf, lower_slopes),
        "log_sf": (log_sf, upper_slopes),
        "log_prob": rows["log_prob"],
        "mean_below": (x - rows["below"][0] / np.exp(log_cdf), by_x - below),
        "mean_above": (x + rows["above"][0] / np.exp(log_sf), by_x + above),
    }
    slopes, got = point_slopes(theta)
    for i, (key, (value, row)) in enumerate(expected.items()):
        assert_relative([got[i]], [value], 1e-10, (name, x, key))
        for argument, one, right in zip(("x", *NAMES), slopes[i], row, strict=True):
            # terms of size 1 cancel in the means
            floor = max(1e-4 * np.max(np.abs(row)), 1e-3 * key.startswith("mean"))
            tolerance = tolerance_for(name, argument)
            assert_relative([one], [right], tolerance, (name, x, key, argument), floor)
    both = np.asarray(slopes)[[1, 2, 4]]
    np.testing.assert_allclose(
        point_reverse(theta), both.sum(0), rtol=1e-11, atol=1e-13 * np.abs(both).max()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "x"), SLOPES)
def test_derivatives_at_a_probability(name, x):
    rows = rows_of(name, x)
    (log_cdf, lower_slopes), (log_sf, upper_slopes) = rows["log_cdf"], rows["log_sf"]
    lower, upper, density = np.exp(log_cdf), np.exp(log_sf), np.exp(rows["log_prob"][0])
    theta = np.array([lower, upper, *LAWS[name]])
    slopes, got = probability_slopes(theta)
    found = {}
    if lower > 1e-4:  # its complement says where x is
        found[1] = x, (0, -1 / density), upper * upper_slopes / density
        excess = rows["below"][0] / lower
        found[2] = excess - x, (0, excess / lower), rows["below"][1] / lower
    if upper > 1e-4:
        found[3] = x + rows["above"][0] / upper, (rows["above"][0] / upper**2, 0), (
            rows["above"][1] / upper
        )  # fmt: skip
    if lower < 0.9999:
        found[0] = x, (1 / density, 0), -lower * lower_slopes / density
    for i, (value, by_probability, by_theta) in found.items():
        row = np.concatenate([by_probability, by_theta[1:]])
        assert_relative([got[i]], [value], 1e-10, (name, x, i))
        for argument, one, right in zip(("q", "1 - q", *NAMES), slopes[i], row, strict=True):
            floor = 1e-4 * np.max(np.abs(by_theta[1:]))
            tolerance = tolerance_for(name, argument)
            assert_relative([one], [right], tolerance, (name, x, i, argument), floor)
    if upper < 0.9999:
        again = isf_reverse(theta[1:])
        np.testing.assert_allclose(again, slopes[1][1:], rtol=1e-11, err_msg=name)


@pytest.mark.slow
def test_second_derivatives_are_finite_and_symmetric():
    @jax.jit
    def hessian(theta):
        def value(theta):
            law = from_vector(theta[1:])
            return law.log_sf(theta[0]) + law.log_prob(theta[0])

        return jax.jacfwd(jax.grad(value))(theta)

    for name, x in (("moderate", 3.0), ("nig", -6.0)):
        got = np.asarray(hessian(np.array([x, *LAWS[name]])))
        assert np.all(np.isfinite(got)), (name, got)
        np.testing.assert_allclose(got, got.T, rtol=1e-8, atol=1e-9, err_msg=name)
        step = 1e-5
        above, below = (
            point_slopes(np.array([x + s, *LAWS[name]]))[0][1:3].sum(0) for s in (step, -step)
        )
        np.testing.assert_allclose(got[0], (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


def test_batches_of_laws_and_points_agree_with_single_values():
    names = ("moderate", "vg", "t", "strong_skew")
    laws = [law_of(LAWS[name]) for name in names]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *laws)

    def everything(law, x, q):
        return jnp.stack([
            law.cdf(x), law.log_sf(x), law.log_prob(x), law.ppf(q), law.mean_above(x),
        ])  # fmt: skip

    x, q = np.array([-2.0, 0.1, 9.0]), np.array([1e-9, 0.3, 0.99])
    over_laws = eqx.filter_jit(eqx.filter_vmap(everything, in_axes=(0, None, None)))
    over_points = eqx.filter_jit(eqx.filter_vmap(everything, in_axes=(None, 0, 0), out_axes=1))
    got = over_laws(stacked, x, q)
    for i, law in enumerate(laws):
        alone = np.asarray(everything(law, padded(x), padded(q)))[:, :3]
        np.testing.assert_allclose(got[i], alone, rtol=1e-11, err_msg=names[i])
        np.testing.assert_allclose(over_points(law, x, q), alone, rtol=1e-11, err_msg=names[i])


# --- where scipy.stats fails


def parameters_of(law):
    return tuple(float(getattr(law, name)) for name in NAMES)


def test_genhyperbolic_beyond_its_support_in_scipy():
    law = UnivariateNormalMixture.from_scipy(stats.genhyperbolic(1.0, 3.0, 2.0))
    x = np.array([60.0, 85.0, 200.0, 600.0])
    cdf, sf, log_cdf, log_sf = four(law, padded(x))
    with mp.workdps(30):
        for i, value in enumerate(x):
            tail = mp_tail(parameters_of(law), value, 1)
            expected = (1 - tail, tail, mp.log1p(-tail), mp.log(tail))
            got = (cdf[i], sf[i], log_cdf[i], log_sf[i])
            assert_relative(got, expected, 1e-10, value)
            assert 0 < float(sf[i]) < 1e-12


def mean_and_std(a, b):
    square = (a - b) * (a + b)
    return b / np.sqrt(square), a / square**0.75


@pytest.mark.parametrize("b", [0.0, 10.0, -1e3])
def test_norminvgauss_density_at_large_a(b):
    law = UnivariateNormalMixture.from_scipy(stats.norminvgauss(1.4e6, b))
    mean, std = mean_and_std(1.4e6, b)
    x = mean + std * np.array([-3.0, 0.0, 0.5, 8.0])
    got = law.prob(padded(x))[:4]
    with mp.workdps(30):
        expected = [mp.exp(mp_log_prob(parameters_of(law), value)) for value in x]
        assert_relative(got, expected, 1e-10, b)


@pytest.mark.parametrize("shapes", [(1.0, 0.0), (2.0, 1.5), (20.0, -5.0), (100.0, 0.0), (1e4, 9e3)])
def test_norminvgauss_three_standard_deviations_to_the_right(shapes):
    frozen = stats.norminvgauss(*shapes, loc=0.2, scale=2.0)
    law = UnivariateNormalMixture.from_scipy(frozen)
    mean, std = mean_and_std(*shapes)
    x = 0.2 + 2 * (mean + 3 * std)
    cdf, sf, log_cdf, log_sf = (value[0] for value in four(law, padded([x])))
    with mp.workdps(30):
        tail = mp_tail(parameters_of(law), x, 1)
        expected = (1 - tail, tail, mp.log1p(-tail), mp.log(tail))
        assert_relative((cdf, sf, log_cdf, log_sf), expected, 1e-10, shapes)
