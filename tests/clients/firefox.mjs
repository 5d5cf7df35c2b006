// A person uses the pages in Firefox. Reads from standard input in a folder with node_modules; arguments: the program,
// the server's address, a token, a file to import. Prints what the person sees, as JSON.
import puppeteer from "puppeteer-core";

const [executablePath, server, token, file] = process.argv.slice(2);
const seen = { problems: [] };
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  defaultViewport: null,
  // A press does not focus a button, as in Firefox and Safari on a Mac.
  extraPrefsFirefox: { "accessibility.mouse_focuses_formcontrol": 0, "intl.accept_languages": "en-US" },
});
// A browser that hangs does not outlive the test.
setTimeout(() => {
  console.error(JSON.stringify(seen));
  browser.process().kill("SIGKILL");
  process.exit(1);
}, 80_000).unref();

// The first tab of a new Firefox has no focus.
const page = await browser.newPage();
page.on("pageerror", (error) => seen.problems.push(error.message));
page.on("console", (message) => {
  if (["error", "warn"].includes(message.type())) seen.problems.push(message.text());
});

const text = (selector, target = page) => target.$eval(selector, (element) => element.innerText);
const until = (expression, argument) => page.waitForFunction(expression, { timeout: 20_000 }, argument);
const hasText = (part) => until((wanted) => document.querySelector("main").innerText.includes(wanted), part);
const hasTitle = (title) => until((wanted) => document.querySelector("h1")?.innerText === wanted, title);
async function press(selector, label = "") {
  const path = `::-p-xpath(//${selector}[contains(normalize-space(.), "${label}")])`;
  await (await page.waitForSelector(path, { visible: true, timeout: 20_000 })).click();
}
const focused = () => page.evaluate(() => document.activeElement.innerText || document.activeElement.ariaLabel);

try {
  await page.goto(server);
  await (await page.waitForSelector("main form input")).type(token);
  await page.keyboard.press("Enter");
  await hasTitle("Customers");
  await hasText("3 customers");

  // A menu by mouse, and its dialog.
  await press("summary", "Filter");
  await press("div[contains(@class, 'menu-list')]//button", "City");
  await page.waitForSelector("dialog[open] input");
  await page.keyboard.type("Paris");
  await page.keyboard.press("Enter");
  await hasText("1 customer found");
  seen.filtered = await text("tbody .row-link");
  await press("summary", "Filter");
  await press("div[contains(@class, 'menu-list')]//button", "Tag");
  await page.waitForSelector("dialog[open] input");
  await page.keyboard.press("Escape");
  seen.focusAfterDialog = (await focused()).trim();

  // Ctrl and a click on a row open another tab.
  const cell = await page.$("tbody td.location");
  const opened = new Promise((resolve) => browser.once("targetcreated", (target) => resolve(target.page())));
  await page.keyboard.down("Control");
  await cell.click();
  await page.keyboard.up("Control");
  const tab = await opened;
  await tab.waitForFunction(() => document.querySelector("h1")?.innerText === "Bo Li", { timeout: 20_000 });
  await tab.close();
  await page.bringToFront();

  // Search, and open and edit the customer by keyboard.
  await page.keyboard.down("Control");
  await page.keyboard.press("k");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type("Ana");
  await until(() => document.querySelector("tbody .row-link")?.innerText === "Ana Núñez");
  await page.keyboard.press("Enter");
  await hasTitle("Ana Núñez");
  await press("button[contains(@class, 'value')]", "Edit First name");
  await page.waitForSelector("form[aria-label='First name'] input");
  await page.keyboard.type("Anna");
  await page.keyboard.press("Enter");
  await hasTitle("Anna Núñez");
  await page.focus(".composer textarea");
  await page.keyboard.type("She called.");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".timeline .comment .lines");
  seen.comment = await text(".timeline .comment .lines");

  // Import a file.
  await page.goto(`${server}/imports`);
  await (await page.waitForSelector("input[type=file]")).uploadFile(file);
  await press("button[contains(@class, 'primary') or not(@class)]", "Import");
  await hasText("Done");
  seen.imported = (await text("main dl")).split(/\s+/).slice(0, 2);
} catch (error) {
  seen.problems.push(`${error.stack}`, await text("body").catch(() => ""));
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
process.exit(0);
