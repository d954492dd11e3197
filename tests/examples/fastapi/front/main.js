const teas = await (await fetch("/api/teas")).json();
document.querySelector("#teas").innerHTML = teas.map((tea) => `<li>${tea}</li>`).join("");
