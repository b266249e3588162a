// OpenAI's own client for Node against a gateway: whole, streamed, into a type, and each of its errors.
// Reads the gateway's address from GATEWAY; what the engine does with a question stands in its words.

import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const baseURL = `${process.env.GATEWAY}/v1`;
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0, timeout: 20_000 });
const Quiz = z.object({ reasoning: z.string(), answer: z.string() });
const QUIZ = { reasoning: "Six times seven.", answer: "forty-two" };

const asking = (content, more = {}) => ({ model: "quiz", messages: [{ role: "user", content }], ...more });

test("a completion has answer, reasoning and outputs", async () => {
  const { message } = (await client.chat.completions.create(asking("6 x 7?"))).choices[0];
  assert.equal(message.content, "forty-two");
  assert.equal(message.reasoning, "Six times seven.");
  assert.deepEqual(message.outputs, QUIZ);
});

test("headers stand beside the completion", async () => {
  const { data, response } = await client.chat.completions.create(asking("6 x 7?")).withResponse();
  assert.match(response.headers.get("x-smallforge-release"), /^quiz@/);
  assert.equal(data.choices[0].finish_reason, "stop");
});

test("a stream comes in pieces with usage at its end", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = await Array.fromAsync(await client.chat.completions.create(asking("6 x 7?", options)));
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.equal(text, "forty-two");
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("a stream's helper ends with the whole", async () => {
  const stream = client.chat.completions.stream(asking("6 x 7?"));
  assert.equal(await stream.finalContent(), "forty-two");
});

test("parse gives the caller's own type", async () => {
  const format = { response_format: zodResponseFormat(Quiz, "quiz") };
  const reply = await client.chat.completions.parse(asking("6 x 7?", format));
  assert.deepEqual(reply.choices[0].message.parsed, QUIZ);
});

test("responses are given and streamed", async () => {
  const asked = { model: "quiz", input: "6 x 7?" };
  assert.equal((await client.responses.create(asked)).output_text, "forty-two");
  const events = await Array.fromAsync(await client.responses.create({ ...asked, stream: true }));
  assert.equal(events.at(-1).type, "response.completed");
});

test("models are listed", async () => {
  const names = (await Array.fromAsync(client.models.list())).map((model) => model.id);
  assert.ok(names.includes("quiz"));
});

for (const [question, kind, code] of [
  ["always busy", OpenAI.RateLimitError, "rate_limited"],
  ["always failing", OpenAI.InternalServerError, "engine_failed"],
  ["unreadable", OpenAI.InternalServerError, "program_output_invalid"],
  ["too long", OpenAI.BadRequestError, "context_length_exceeded"],
]) {
  test(`a question that is ${question} is a ${kind.name}`, async () => {
    await assert.rejects(client.chat.completions.create(asking(question)), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.code, code);
      return true;
    });
  });
}

test("an unknown model is not found", async () => {
  await assert.rejects(
    client.chat.completions.create({ ...asking("q"), model: "nobody" }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
  );
});

test("a stream that breaks midway throws", async () => {
  const stream = await client.chat.completions.create(asking("breaks midway", { stream: true }));
  await assert.rejects(Array.fromAsync(stream), (error) => error instanceof OpenAI.APIError);
});

test("it waits as long as a busy engine says and asks again", async () => {
  const patient = client.withOptions({ maxRetries: 2 });
  const began = performance.now();
  const reply = await patient.chat.completions.create(asking("busy once, by Node"));
  assert.equal(reply.choices[0].message.content, "forty-two");
  assert.ok(performance.now() - began >= 1000);
});

test("its own time limit ends a wait", async () => {
  const hasty = client.withOptions({ timeout: 300 });
  await assert.rejects(
    hasty.chat.completions.create(asking("slow")),
    (error) => error instanceof OpenAI.APIConnectionTimeoutError,
  );
});
