import { Chip, Table, TableBody, TableCell, TableHead, TableRow, Typography } from "@mui/material";
import type { ReactNode } from "react";
import {
  DataTable,
  DateField,
  DateInput,
  FilterButton,
  FunctionField,
  Link,
  List,
  NumberInput,
  SearchInput,
  SelectInput,
  Show,
  SimpleShowLayout,
  TextField,
  TextInput,
  TopToolbar,
  useListContext,
  useRecordContext,
  WithRecord,
} from "react-admin";
import { about, MONEY, money } from "./about";
import { cancel, exportOrders, fulfil, receive, refund } from "./actions";
import { AskButton, DownloadButton } from "./ask";
import type { Order } from "./dataProvider";

const choices = (...ids: string[]) => ids.map((id) => ({ id, name: id.replace("_", " ") }));
const filters = [
  <SearchInput key="search" source="search" alwaysOn placeholder="Number, or whole e-mail" sx={{ minWidth: 260 }} />,
  <SelectInput key="status" source="status" choices={choices("placed", "fulfilled", "canceled")} />,
  <SelectInput
    key="payment"
    source="payment_status"
    label="Payment"
    choices={choices("unpaid", "pending", "paid", "partly_refunded", "refunded")}
  />,
  <DateInput key="from" source="from" />,
  <DateInput key="to" source="to" />,
];

const ListActions = () => {
  const { filterValues } = useListContext();
  return (
    <TopToolbar>
      <FilterButton />
      <DownloadButton label="Export" file="orders.csv" ask={() => exportOrders(filterValues)} />
    </TopToolbar>
  );
};

/** The newest first: the API has no other order of orders, and does not count them. */
export const OrderList = () => (
  <List filters={filters} actions={<ListActions />}>
    <DataTable bulkActionButtons={false} rowClick="show">
      <DataTable.Col source="number" disableSort />
      <DataTable.Col source="placed_at" label="Placed" disableSort>
        <DateField source="placed_at" showTime />
      </DataTable.Col>
      <DataTable.Col source="email" label="Customer" disableSort />
      <DataTable.NumberCol source="item_count" label="Pieces" disableSort />
      <DataTable.NumberCol source="total" options={MONEY} disableSort />
      <DataTable.Col
        source="status"
        disableSort
        render={(order: Order) => <Chip size="small" label={order.status} />}
      />
      <DataTable.Col source="payment_status" label="Payment" disableSort />
    </DataTable>
  </List>
);

/** What may be done to this order now. */
const ShowActions = () => {
  const order = useRecordContext<Order>();
  if (!order?.items) return null; // as the list has it
  const { number, status, paid, refunded, items, payments } = order;
  const left = Math.round((paid - refunded) * 100) / 100;
  const byHand = payments.find(({ provider, status }) => provider === "manual" && status === "pending")?.id;
  const unpaid = status === "placed" && ["unpaid", "pending"].includes(order.payment_status);
  return (
    <TopToolbar>
      {unpaid && about.payment_providers.includes("manual") && (
        <AskButton
          label="Money received"
          title={`Have ${money(order.total)} come for ${number}?`}
          act={async () => `Paid: ${money((await receive(number, byHand)).paid)}.`}
        />
      )}
      {status === "placed" && left > 0 && (
        <AskButton
          label="Fulfil"
          title={`Has ${number} left the house?`}
          act={async ({ tracking }) => `${number} is ${(await fulfil(number, tracking ?? null)).status}.`}
        >
          <TextInput source="tracking" label="Tracking number" autoFocus />
        </AskButton>
      )}
      {left > 0 && (
        <AskButton
          label="Refund"
          title={`Give back up to ${money(left)}`}
          defaults={{ amount: left, pieces: {} }}
          act={async ({ amount, pieces }, key) => {
            const restock = items
              .map(({ product_id }) => ({ product_id, quantity: pieces[product_id] ?? 0 }))
              .filter(({ quantity }) => quantity);
            return `${money((await refund(number, { amount, restock }, key)).refunded)} are given back of ${number}.`;
          }}
        >
          <NumberInput source="amount" autoFocus />
          {items.map(({ product_id, name, quantity }) => (
            <NumberInput
              key={product_id}
              source={`pieces.${product_id}`}
              label={`${name}: pieces that come back into stock`}
              helperText={`of ${quantity}`}
            />
          ))}
        </AskButton>
      )}
      {status === "placed" && (
        <AskButton
          label="Cancel order"
          title={`Cancel ${number}? Its pieces come back into stock${left > 0 ? `, and ${money(left)} are given back` : ""}.`}
          act={async () => `${number} is ${(await cancel(number)).status}.`}
        />
      )}
    </TopToolbar>
  );
};

const Rows = ({ title, head, rows }: { title: string; head: string[]; rows: ReactNode[][] }) => (
  <>
    <Typography variant="h6" sx={{ mt: 2 }}>
      {title}
    </Typography>
    <Table size="small" aria-label={title}>
      <TableHead>
        <TableRow>
          {head.map((cell) => (
            <TableCell key={cell}>{cell}</TableCell>
          ))}
        </TableRow>
      </TableHead>
      <TableBody>
        {rows.map((cells, row) => (
          <TableRow key={row}>
            {cells.map((cell, column) => (
              <TableCell key={column}>{cell}</TableCell>
            ))}
          </TableRow>
        ))}
      </TableBody>
    </Table>
  </>
);

const whole = ({ items, payments, history }: Order) => (
  <>
    <Rows
      title="Items"
      head={["Product", "Price", "Pieces", "Sum"]}
      rows={items.map(({ product_id, name, unit_price, quantity, line_total }) => [
        <Link to={`/products/${product_id}`}>{name}</Link>,
        money(unit_price),
        quantity,
        money(line_total),
      ])}
    />
    <Rows
      title="Payments"
      head={["Way", "Status", "Amount", "Reference"]}
      rows={payments.map(({ provider, status, amount, reference }) => [provider, status, money(amount), reference])}
    />
    <Rows
      title="History"
      head={["When", "What", "By", "Amount"]}
      rows={history.map(({ at, what, by, amount }) => [
        new Date(at).toLocaleString(),
        what.replace("_", " "),
        by,
        amount === null ? "" : money(amount),
      ])}
    />
  </>
);

const address = ({ shipping_address: to }: Order) =>
  to &&
  [to.name, to.company, to.line1, to.line2, to.postal_code, to.city, to.region, to.country].filter(Boolean).join(", ");

export const OrderShow = () => (
  <Show actions={<ShowActions />}>
    <SimpleShowLayout>
      <TextField source="number" />
      <TextField source="status" />
      <TextField source="payment_status" label="Payment" />
      <FunctionField
        label="Total"
        render={({ total, paid, refunded }: Order) =>
          `${money(total)}, paid ${money(paid ?? 0)}, given back ${money(refunded ?? 0)}`
        }
      />
      <TextField source="email" label="Customer" emptyText="account deleted" />
      <FunctionField label="Ship to" render={address} />
      <TextField source="note" emptyText="none" />
      <TextField source="tracking" emptyText="none" />
      <WithRecord label="" render={(order: Order) => (order.items ? whole(order) : null)} />
    </SimpleShowLayout>
  </Show>
);
