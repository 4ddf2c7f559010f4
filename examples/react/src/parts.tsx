// What pages are made of: a heading, a state of loading, and forms that show what the API has against each field.
import { type ComponentProps, type FormEvent, useEffect, useRef } from "react";
import type { Failure } from "./shop";

const focus = (heading: HTMLElement | null) => heading?.focus(); // who does not see the page hears that it is another
export const Heading = ({ children }: { children: string }) => (
  <><title>{children}</title><h1 tabIndex={-1} ref={focus}>{children}</h1></>
);

/** What went wrong: the API has a sentence for each code; where it has figures, one can do better. */
export function Alert({ of: failure }: { of: Failure | null }) {
  const error = failure?.error;
  const most = error?.code === "INSUFFICIENT_STOCK" && error.details.available;
  return <p role="alert">{most ? `You can have ${most} at most.` : error?.message}</p>;
}

export function Pending({ of: query }: { of: { error: Failure | null; refetch: () => unknown } }) {
  if (!query.error) return <p role="status">Loading …</p>;
  return <><Alert of={query.error} /><button onClick={() => query.refetch()}>Try again</button></>;
}

export type Value = (name: string) => string;
type FormProps = {
  fields: Record<string, ComponentProps<"input"> & { label: string }>; // by the names that the API has for them
  action: string;
  of: { error: Failure | null; isPending: boolean };
  onSend: (value: Value) => void;
};
export function Form({ fields, action, of: { error, isPending }, onSend }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [error]);
  function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onSend((name) => String(data.get(name) ?? ""));
  }
  return (
    <form ref={form} onSubmit={send} noValidate>
      {Object.entries(fields).map(([name, { label, ...input }]) => {
        const issue = issues(error).find(({ field }) => field.split(".").at(-1) === name)?.issue;
        return (
          <label key={name}>
            {label} <input name={name} required aria-invalid={!!issue} {...input} />
            <span>{issue}</span>
          </label>
        );
      })}
      <button disabled={isPending}>{action}</button>
      <Alert of={error} />
    </form>
  );
}

const issues = (failure: Failure | null) => failure?.error.code === "VALIDATION_ERROR"
  || failure?.error.code === "DUPLICATE_EMAIL"
  || failure?.error.code === "DUPLICATE_USERNAME" ? failure.error.details.errors : [];
