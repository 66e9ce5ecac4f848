/* Momentum on a quadratic with curvatures 1 and 25: sliders for α and β, the path, and the eigenvalues of both blocks.
   Takes the place of the still picture in the figure of this file's name; on paper and without scripts that one stays.
   Explained in the chapter Momentum. */
(() => {
  const figure = document.getElementById("fig-momentum-explore");
  const still = figure?.querySelector("img");
  if (!still) return;

  const CURVATURES = [1, 25], START = [-5, 1.5], STEPS = 60;
  const tuned = Math.sqrt(76);
  const CHOICES = [
    ["Gradient descent at its best", { nesterov: false, alpha: 1 / 13, beta: 0 }],
    ["Heavy ball, β = 0.9", { nesterov: false, alpha: 1 / 13, beta: 0.9 }],
    ["Heavy ball at its best", { nesterov: false, alpha: 1 / 9, beta: 4 / 9 }],
    ["Nesterov, standard", { nesterov: true, alpha: 1 / 25, beta: 2 / 3 }],
    ["Nesterov, tuned", { nesterov: true, alpha: 4 / 76, beta: (tuned - 2) / (tuned + 2) }],
  ];
  let now = { ...CHOICES[1][1] };

  // -- the mathematics -------------------------------------------------------------------------------------------------

  /* Both eigenvalues of the block of one curvature, as [real, imaginary], the larger modulus first. */
  const eigenvalues = ({ nesterov, alpha, beta }, lambda) => {
    const left = 1 - alpha * lambda;
    const trace = nesterov ? (1 + beta) * left : left + beta;
    const determinant = nesterov ? beta * left : beta;
    const inside = (trace * trace) / 4 - determinant;
    if (Math.abs(inside) < 1e-12) return [[trace / 2, 0], [trace / 2, 0]];
    const root = Math.sqrt(Math.abs(inside));
    if (inside < 0) return [[trace / 2, root], [trace / 2, -root]];
    return [[trace / 2 + root, 0], [trace / 2 - root, 0]].sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
  };
  const size = ([re, im]) => Math.hypot(re, im);

  const walk = ({ nesterov, alpha, beta }) => {
    let p = [...START], v = [0, 0];
    const path = [p];
    for (let t = 0; t < STEPS && Math.abs(p[0]) + Math.abs(p[1]) < 1e4; t++) {
      const g = p.map((x, i) => CURVATURES[i] * x);
      v = v.map((old, i) => beta * old + g[i]);
      p = p.map((x, i) => x - alpha * (nesterov ? g[i] + beta * v[i] : v[i]));
      path.push(p);
    }
    return path;
  };

  const describe = (choice) => {
    const pairs = CURVATURES.map((lambda) => eigenvalues(choice, lambda));
    const rho = Math.max(...pairs.map((pair) => size(pair[0])));
    const rate = rho >= 1 - 1e-9 ? "it does not converge" : rho < 1e-9 ? "it is there in two steps"
      : `a digit takes ${(-Math.LN10 / Math.log(rho)).toFixed(1)} steps`;
    const about = pairs.map(([first, second], i) => {
      const name = `Curvature ${CURVATURES[i]}: `;
      if (Math.abs(first[1]) > 1e-9) {
        const turn = (2 * Math.PI) / Math.atan2(first[1], first[0]);
        return `${name}complex, modulus ${size(first).toFixed(3)}, once around in ${turn.toFixed(1)} steps.`;
      }
      if (first[0] === second[0] && choice.beta > 0) return `${name}double, ${shown(first[0])}.`;
      return `${name}real, ${shown(first[0])} and ${shown(second[0])}.`;
    });
    return { pairs, rho, text: [`ρ = ${rho.toFixed(3)}: ${rate}.`, ...about] };
  };
  const shown = (x) => x.toFixed(3).replace("-0.000", "0.000").replace("-", "−");

  // -- the page --------------------------------------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const vector = ["svg", "g", "ellipse", "circle", "rect", "path", "line", "text"].includes(tag);
    const element = vector ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const plane = make("svg", { viewBox: "-6 -3 12 6", role: "img", "aria-label": "The path over the level lines of the loss", class: "explorable-plane" });
  for (const level of [0.5, 3, 10, 25, 50, 100]) {
    plane.append(make("ellipse", { rx: Math.sqrt(2 * level), ry: Math.sqrt((2 * level) / 25), class: "faint" }));
  }
  const trail = make("g", { class: "trail" });
  plane.append(trail);

  const circle = make("svg", { viewBox: "-1.3 -1.3 2.6 2.6", role: "img", "aria-label": "The eigenvalues in the complex plane, with the unit circle", class: "explorable-circle" });
  circle.append(
    make("line", { x1: -1.3, x2: 1.3, class: "faint" }), make("line", { y1: -1.3, y2: 1.3, class: "faint" }),
    make("circle", { r: 1, class: "unit" }),
    make("text", { x: 1.03, y: -0.05 }, "1"), make("text", { x: 0.04, y: -1.06 }, "i"),
  );
  const ring = make("circle", { class: "ring" });
  const marks = make("g");
  circle.append(ring, marks);

  const slider = (name, letter, least, most, step) => {
    const input = make("input", { type: "range", id: `explore-${name}`, min: least, max: most, step });
    const value = make("span", { class: "value", "aria-hidden": "true" });
    const label = make("label", { for: input.id }, letter);
    input.addEventListener("input", () => { now[name] = Number(input.value); draw(); });
    return { row: make("div", { class: "setting" }, label, input, value), input, value };
  };
  const sliders = {
    alpha: slider("alpha", "learning rate α", 0.001, 0.17, 0.001),
    beta: slider("beta", "momentum β", 0, 0.99, 0.01),
  };
  const kind = make("input", { type: "checkbox", id: "explore-nesterov" });
  kind.addEventListener("input", () => { now.nesterov = kind.checked; draw(); });

  const buttons = CHOICES.map(([name, choice]) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => { now = { ...choice }; draw(); });
    return button;
  });
  const readout = make("output", { for: "explore-alpha explore-beta explore-nesterov" });

  const draw = () => {
    for (const name of ["alpha", "beta"]) {
      const text = now[name].toFixed(name === "alpha" ? 3 : 2);
      sliders[name].input.value = now[name];
      sliders[name].input.setAttribute("aria-valuetext", text);
      sliders[name].value.textContent = text;
    }
    kind.checked = now.nesterov;
    const path = walk(now), { pairs, rho, text } = describe(now);
    const place = ([x, y]) => `${x.toFixed(3)} ${(-y).toFixed(3)}`;
    trail.replaceChildren(
      make("path", { d: `M${path.map(place).join("L")}` }),
      ...path.filter(([x, y]) => Math.abs(x) < 7 && Math.abs(y) < 4).map(([x, y]) => make("circle", { cx: x, cy: -y, r: 0.075 })),
    );
    ring.setAttribute("r", Math.min(rho, 2));
    marks.replaceChildren(...pairs.flatMap((pair, i) => pair.map(([re, im]) => (i === 0
      ? make("rect", { x: re - 0.055, y: -im - 0.055, width: 0.11, height: 0.11, class: "flat" })
      : make("circle", { cx: re, cy: -im, r: 0.06, class: "steep" })))));
    readout.replaceChildren(...text.map((line, i) => make(i ? "span" : "strong", {}, line, " ")));
  };

  const panel = make("div", { class: "explorable-panel", role: "group", "aria-label": "Momentum on a quadratic, to play with" },
    make("div", { class: "pictures" }, plane, circle), readout,
    make("div", { class: "controls" }, sliders.alpha.row, sliders.beta.row,
      make("div", { class: "setting" }, make("label", { for: kind.id }, "look ahead (Nesterov)"), kind)),
    make("div", { class: "choices" }, ...buttons));
  still.loading = "eager"; // or it would not be there when the page is printed
  still.before(panel);
  figure.classList.add("explorable");
  draw();
})();
