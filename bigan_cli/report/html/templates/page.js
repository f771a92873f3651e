"use strict";
// The threshold handle, the gallery, the table of all images and the latent space.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const whole = (number) => number.toLocaleString("en-US");
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  const short = (number) => String(Number(number.toPrecision(4)));
  document.documentElement.classList.add("js");

  let current = data.start;
  const givenFlags = new Set(data.flagged || []);
  const isFlagged = (image) => {
    const stop = data.stops[current];
    return stop.fpr === null ? givenFlags.has(image) : data.ranks[image] <= stop.rank;
  };

  const listeners = [];
  const choose = (stop) => {
    current = Math.max(0, Math.min(data.stops.length - 1, stop));
    for (const listener of listeners) listener(data.stops[current]);
  };
  const nearest = (percentage) => {
    let best = 0;
    data.stops.forEach((stop, i) => {
      if (Math.abs(stop.x - percentage) < Math.abs(data.stops[best].x - percentage)) best = i;
    });
    return best;
  };

  // A line breaks between the words of a command only, not after a dash.
  const words = (line) => line.split(" ").flatMap((word, i) => {
    const element = document.createElement("span");
    element.textContent = word;
    return i ? [" ", element] : [element];
  });

  const setText = (id, text) => {
    const element = byId(id);
    if (element) element.textContent = text;
  };

  const threshold = () => {
    const handle = byId("handle"), area = byId("scores"), cut = byId("cut");
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
    handle.addEventListener("keydown", (event) => {
      const last = data.stops.length - 1;
      if (event.key === "Home") choose(0);
      else if (event.key === "End") choose(last);
      else if (event.key in steps) choose(current + steps[event.key]);
      else return;
      event.preventDefault();
    });
    handle.addEventListener("input", () => choose(nearest(handle.value / 10)));
    const drag = (event) => {
      const box = area.getBoundingClientRect();
      choose(nearest((100 * (event.clientX - box.left)) / box.width));
    };
    area.addEventListener("pointerdown", (event) => {
      area.setPointerCapture(event.pointerId);
      drag(event);
    });
    area.addEventListener("pointermove", (event) => {
      if (area.hasPointerCapture(event.pointerId)) drag(event);
    });
    byId("reset").addEventListener("click", () => choose(data.start));
    listeners.push((stop) => {
      const rate = stop.fpr === null ? "" : `, false-positive rate ${stop.option}`;
      handle.value = Math.round(10 * stop.x);
      handle.setAttribute("aria-valuetext", `score ${short(stop.threshold)}${rate}, ${whole(stop.flagged)} flagged`);
      cut.style.left = `${stop.x}%`;
      setText("cut-label", short(stop.threshold));
      setText("flagged", whole(stop.flagged));
      setText("fpr", stop.fpr === null ? "-" : percent(stop.fpr));
      setText("strictest", stop.rank === 1 ? `, the smallest that ${whole(data.calibration)} calibration images allow` : "");
      if (data.known) {
        setText("false", whole(stop.false));
        setText("false-share", `of ${whole(data.normals)} normal flagged by mistake (${percent(stop.false / data.normals)})`);
        setText("true", whole(stop.true));
        setText("true-share", `of ${whole(data.anomalies)} anomalies found (recall ${percent(stop.true / data.anomalies)})`);
      }
      const option = stop.fpr === null ? `--threshold ${stop.threshold}` : `--fpr ${stop.option}`;
      byId("command").replaceChildren(...words(`${data.command} ${option}`));
      byId("reset").disabled = current === data.start;
      for (const dot of document.querySelectorAll(".dot")) {
        const recall = stop.true / data.anomalies;
        const roc = dot.dataset.curve === "roc";
        const x = roc ? stop.false / data.normals : recall;
        const y = roc ? recall : stop.flagged ? stop.true / stop.flagged : 1;
        dot.style.left = `${100 * x}%`;
        dot.style.top = `${100 - 100 * y}%`;
      }
    });
  };

  const pager = (previous, next, place, size, show) => {
    let page = 0, found = [], of = 0;
    const draw = () => {
      const pages = Math.max(1, Math.ceil(found.length / size));
      page = Math.max(0, Math.min(page, pages - 1));
      show(found.slice(page * size, (page + 1) * size));
      byId(previous).disabled = page === 0;
      byId(next).disabled = page >= pages - 1;
      const range = `${whole(page * size + 1)} to ${whole(Math.min(found.length, (page + 1) * size))}`;
      const more = of > found.length ? ` with pictures, of ${whole(of)} in all` : "";
      setText(place, found.length ? `${range} of ${whole(found.length)}${more}` : "");
    };
    byId(previous).addEventListener("click", () => { page -= 1; draw(); });
    byId(next).addEventListener("click", () => { page += 1; draw(); });
    return (items, total, keep) => { found = items; of = total; page = keep ? page : 0; draw(); };
  };

  const gallery = () => {
    const cards = [...document.querySelectorAll(".card")];
    const box = byId("cards"), classes = byId("class");
    const index = (card) => Number(card.dataset.index);
    let shown = [];
    const size = matchMedia("(max-width: 560px)").matches ? data.cards / 2 : data.cards;
    const fill = pager("previous", "next", "place", size, (some) => {
      box.replaceChildren(...some);
      byId("empty").hidden = some.length > 0;
    });
    const update = (keep) => {
      const view = document.querySelector("input[name=view]:checked").value;
      const descending = view === "most" || view === "false";
      const belongs = (i) => {
        if (classes && classes.value !== "" && data.labels[i] !== Number(classes.value)) return false;
        if (view === "false") return !data.outlier[i] && isFlagged(i);
        if (view === "missed") return data.outlier[i] && !isFlagged(i);
        return true;
      };
      shown = cards.filter((card) => belongs(index(card)));
      shown.sort((a, b) => (data.scores[index(b)] - data.scores[index(a)]) * (descending ? 1 : -1));
      fill(shown, data.scores.filter((_, i) => belongs(i)).length, keep);
    };
    for (const input of document.querySelectorAll("input[name=view]")) input.addEventListener("change", () => update(false));
    if (classes) classes.addEventListener("change", () => update(false));
    listeners.push(() => {
      for (const card of cards) {
        const badge = card.querySelector(".badge"), flagged = isFlagged(index(card));
        badge.textContent = flagged ? "flagged" : "passed";
        badge.className = `badge ${badge.textContent}`;
      }
      update(true);
    });
    viewer(cards, () => shown);
  };

  const viewer = (cards, shown) => {
    const dialog = byId("viewer"), content = byId("viewer-content");
    let place = 0;
    const draw = () => {
      const copy = shown()[place].cloneNode(true);
      copy.className = "";
      content.replaceChildren(copy);
      byId("viewer-previous").disabled = place === 0;
      byId("viewer-next").disabled = place >= shown().length - 1;
    };
    for (const card of cards) {
      const open = () => { place = shown().indexOf(card); draw(); dialog.showModal(); };
      card.querySelector(".enlarge").addEventListener("click", open);
      card.querySelector(".panels").addEventListener("click", open);
    }
    byId("viewer-previous").addEventListener("click", () => { place -= 1; draw(); });
    byId("viewer-next").addEventListener("click", () => { place += 1; draw(); });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" && place > 0) { place -= 1; draw(); }
      if (event.key === "ArrowRight" && place < shown().length - 1) { place += 1; draw(); }
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  };

  const table = () => {
    const details = byId("all"), body = document.querySelector("#table tbody");
    const ordered = data.scores.map((_, i) => i).sort((a, b) => data.scores[b] - data.scores[a]);
    const cell = (text, style) => {
      const element = document.createElement("td");
      element.textContent = text;
      if (style) element.className = style;
      return element;
    };
    const fill = pager("rows-previous", "rows-next", "rows-place", data.rows, (some) => {
      body.replaceChildren(...some.map((i) => {
        const row = document.createElement("tr"), flagged = isFlagged(i);
        row.append(cell(short(data.scores[i])), cell(short(data.ranks[i] / (data.calibration + 1))));
        row.append(cell(flagged ? "flagged" : "passed", flagged ? "anomaly" : ""));
        if (data.labels) row.append(cell(data.classes[data.labels[i]]));
        row.append(cell(data.names[i], "text"));
        return row;
      }));
    });
    const update = (keep) => {
      if (!details.open) return;
      const part = byId("search").value.toLowerCase();
      const found = ordered.filter((i) => data.names[i].toLowerCase().includes(part));
      fill(byId("order").value === "1" ? found.reverse() : found, found.length, keep);
    };
    details.addEventListener("toggle", () => update(false));
    byId("search").addEventListener("input", () => update(false));
    byId("order").addEventListener("change", () => update(false));
    listeners.push(() => update(true));
  };

  const latent = () => {
    const box = byId("scatter"), hover = byId("hover");
    const picture = hover.querySelector("i"), text = hover.querySelector("span");
    const { columns, side } = data.sprite;
    const circles = [...box.querySelectorAll("circle")];
    if (!data.known) {
      listeners.push(() => {
        for (const circle of circles) circle.setAttribute("class", isFlagged(Number(circle.dataset.index)) ? "anomaly" : "normal");
      });
    }
    circles.forEach((circle, place) => {
      const image = Number(circle.dataset.index);
      circle.addEventListener("pointerenter", () => {
        const name = data.labels ? `${data.classes[data.labels[image]]}, ` : "";
        picture.style.backgroundPosition = `${-side * (place % columns)}px ${-side * Math.floor(place / columns)}px`;
        text.textContent = `${name}score ${short(data.scores[image])}: ${data.names[image]}`;
        hover.hidden = false;
        const x = circle.cx.baseVal.value, y = circle.cy.baseVal.value;
        hover.style.left = `${Math.min(x + 12, box.clientWidth - hover.offsetWidth - 4)}px`;
        hover.style.top = `${Math.max(4, Math.min(y + 12, box.clientHeight - hover.offsetHeight - 4))}px`;
      });
      circle.addEventListener("pointerleave", () => { hover.hidden = true; });
    });
  };

  if (data.total) {
    threshold();
    if (byId("cards")) gallery();
    table();
    if (data.sprite) latent();
    choose(data.start);
  }
})();
