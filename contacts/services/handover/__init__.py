"""客户继承: who may go to whom (eligibility, splitting), the plan and its people (planning), its run (running), WeCom's word (settling)."""
